import pytest

from training.distillation.variants import DISTILLED, PLAIN, VARIANTS, MethodVariant
from training.settings.experiment import DistillationConfig

CONFIG = DistillationConfig(ranking_weight=0.4, embeddings=True)


def test_the_plain_variant_switches_the_teacher_off() -> None:
    settings = VARIANTS[PLAIN].settings(CONFIG)

    assert (settings.ranking_weight, settings.embeddings) == (0, False)
    assert not VARIANTS[PLAIN].needs_teacher


def test_the_distilled_variant_is_the_experiment_as_it_stands() -> None:
    assert VARIANTS[DISTILLED].settings(CONFIG) == CONFIG


def test_a_part_that_a_variant_is_without_is_off_and_the_others_stay() -> None:
    everything = CONFIG.model_copy(update={"confidence": True, "consistency": True})

    for part in ("position", "confidence", "consistency", "offset"):
        settings = VARIANTS[f"without-{part}"].settings(everything)
        assert settings == everything.model_copy(update={part: False})


def test_plain_ranking_distillation_has_no_embeddings_and_weighs_by_position_or_not_at_all() -> (
    None
):
    everything = CONFIG.model_copy(update={"confidence": True, "consistency": True})
    parts = ("embeddings", "position", "confidence", "consistency")

    by_position, uniform = (VARIANTS[name].settings(everything) for name in ("rd", "rd-uniform"))

    assert [getattr(by_position, part) for part in parts] == [False, True, False, False]
    assert [getattr(uniform, part) for part in parts] == [False, False, False, False]


def test_an_item_keeps_its_offset_where_it_has_no_embedding() -> None:
    settings = VARIANTS[PLAIN].settings(CONFIG.model_copy(update={"offset": False}))

    assert settings.offset


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variants_settings_are_settings_that_a_file_could_hold(name: str) -> None:
    settings = VARIANTS[name].settings(CONFIG)

    assert DistillationConfig.model_validate(settings.model_dump()) == settings


def test_each_part_can_be_on_alone() -> None:
    assert MethodVariant(ranking=True, embeddings=False).settings(CONFIG).ranking_weight == 0.4
    assert MethodVariant(ranking=False, embeddings=True).settings(CONFIG).embeddings
