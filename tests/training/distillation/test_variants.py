from training.config import DistillationConfig
from training.distillation.variants import DISTILLED, PLAIN, VARIANTS, Variant

CONFIG = DistillationConfig(ranking_weight=0.4, embeddings=True)


def test_the_plain_variant_switches_the_teacher_off() -> None:
    settings = VARIANTS[PLAIN].settings(CONFIG)

    assert (settings.ranking_weight, settings.embeddings) == (0, False)
    assert not VARIANTS[PLAIN].needs_teacher


def test_the_distilled_variant_is_the_experiment_as_it_stands() -> None:
    assert VARIANTS[DISTILLED].settings(CONFIG) == CONFIG


def test_each_part_can_be_on_alone() -> None:
    assert Variant(ranking=True, embeddings=False).settings(CONFIG).ranking_weight == 0.4
    assert Variant(ranking=False, embeddings=True).settings(CONFIG).embeddings
