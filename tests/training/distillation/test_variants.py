from typing import Literal

import pytest

from training.distillation.variants import DISTILLED, TEACHER_FREE, VARIANTS, MethodVariant
from training.errors import ConfigError
from training.settings.experiment import (
    DataConfig,
    DistillationConfig,
    Experiment,
    TrainingConfig,
)

CONFIG = DistillationConfig(ranking_weight=0.4, embeddings=True)


def test_the_teacher_free_variant_has_neither_lists_nor_embeddings() -> None:
    settings = VARIANTS[TEACHER_FREE].settings(CONFIG)

    assert (settings.ranking_weight, settings.embeddings) == (0, False)
    assert not VARIANTS[TEACHER_FREE].needs_teacher


def test_the_distilled_variant_has_the_experiments_settings() -> None:
    assert VARIANTS[DISTILLED].settings(CONFIG) == CONFIG


def test_a_variant_without_a_part_switches_only_that_part_off() -> None:
    everything = CONFIG.model_copy(update={"confidence": True, "consistency": True})

    for part in ("position", "confidence", "consistency", "offset"):
        settings = VARIANTS[f"without-{part}"].settings(everything)
        assert settings == everything.model_copy(update={part: False})


def test_ranking_distillation_without_embeddings_weighs_by_position_or_uniformly() -> None:
    everything = CONFIG.model_copy(update={"confidence": True, "consistency": True})
    parts = ("embeddings", "position", "confidence", "consistency")

    by_position, uniform = (VARIANTS[name].settings(everything) for name in ("rd", "rd-uniform"))

    assert [getattr(by_position, part) for part in parts] == [False, True, False, False]
    assert [getattr(uniform, part) for part in parts] == [False, False, False, False]


def test_without_embeddings_offsets_are_on() -> None:
    settings = VARIANTS[TEACHER_FREE].settings(CONFIG.model_copy(update={"offset": False}))

    assert settings.offset


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variants_settings_pass_validation(name: str) -> None:
    settings = VARIANTS[name].settings(CONFIG)

    assert DistillationConfig.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("name", "list_loss"), [(DISTILLED, "distribution"), ("distributions", "ranking")]
)
def test_distributions_without_lists_are_refused(
    name: str, list_loss: Literal["ranking", "distribution"]
) -> None:
    without_lists = DistillationConfig(ranking_weight=0, list_loss=list_loss)

    with pytest.raises(ConfigError, match=r"distillation\.ranking_weight = 0: means no lists"):
        VARIANTS[name].settings(without_lists)
    for other in (TEACHER_FREE, "embeddings-only"):
        assert VARIANTS[other].settings(without_lists).ranking_weight == 0


def test_lists_and_embeddings_can_be_on_separately() -> None:
    assert MethodVariant(ranking=True, embeddings=False).settings(CONFIG).ranking_weight == 0.4
    assert MethodVariant(ranking=False, embeddings=True).settings(CONFIG).embeddings


def experiment(**training: object) -> Experiment:
    return Experiment(
        name="tiny",
        data=DataConfig(source="movielens"),
        training=TrainingConfig.model_validate(training),
        distillation=DistillationConfig(ranking_weight=0.4, offset_dropout=0.3),
    )


@pytest.mark.parametrize("name", [TEACHER_FREE, DISTILLED, "with-cold-bonus"])
def test_other_variants_train_as_the_experiment_says(name: str) -> None:
    for given in (experiment(), experiment(item_dropout=0.2, smoothing=0.1)):
        assert VARIANTS[name].training_settings(given) == given.training


@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("plain-trained-candidates", {"trained_candidates": True}),
        ("plain-item-dropout", {"item_dropout": 0.3}),
        ("plain-random-features", {"random_features": True}),
        ("plain-smoothing", {"smoothing": 0.4}),
    ],
)
def test_a_variant_without_a_teacher_has_one_part_as_strong_as_the_methods(
    name: str, on: dict[str, object]
) -> None:
    variant = VARIANTS[name]

    assert not variant.needs_teacher
    assert variant.training_settings(experiment()) == TrainingConfig.model_validate(on)


def test_the_strongest_variant_without_a_teacher_has_all_parts() -> None:
    settings = VARIANTS["plain-strongest"].training_settings(experiment(smoothing=0.1))

    assert settings == TrainingConfig(
        trained_candidates=True, item_dropout=0.3, random_features=True, smoothing=0.1
    )


def test_smoothing_with_another_loss_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"(?s)tiny: .*'cross-entropy', not 'binary'"):
        VARIANTS["plain-smoothing"].training_settings(experiment(loss="binary"))
