"""The settings that a row is trained with."""

import pytest

from training.distillation.variants import TRAINING_PARTS, VARIANTS
from training.errors import ConfigError
from training.ladder.plan.rows import ROWS, settings_of
from training.settings.experiment import (
    DataConfig,
    DistillationConfig,
    Experiment,
    TrainingConfig,
)
from training.settings.ladder import LadderConfig


@pytest.mark.parametrize(
    ("ladder", "row", "expected"),
    [
        ({}, "CE", (8, 3)),
        ({}, "BCE", (24, 9)),
        ({"max_epochs": 20}, "CE", (20, 3)),
        ({"patience": 5}, "CE", (8, 5)),
        ({"max_epochs": 20, "patience": 5}, "BCE", (60, 15)),
    ],
)
def test_epochs_and_patience_are_the_ladders_own_and_three_times_as_many_for_the_binary_loss(
    ladder: dict[str, int], row: str, expected: tuple[int, int]
) -> None:
    experiment = Experiment(
        name="tiny",
        data=DataConfig(source="movielens"),
        training=TrainingConfig(max_epochs=8, patience=3),
        ladder=LadderConfig.model_validate(ladder),
    )
    settings = settings_of(experiment, ROWS[row], "caser").training
    assert (settings.max_epochs, settings.patience) == expected


def test_a_row_has_those_parts_of_training_switched_on_that_it_is_named_for() -> None:
    """Whatever the experiment says: else two rows would differ in more than their variants."""
    experiment = Experiment(
        name="tiny",
        data=DataConfig(source="movielens"),
        training=TrainingConfig(item_dropout=0.2, random_features=True, smoothing=0.1),
    )
    default = TrainingConfig(pair_bonus=False)
    for row in ROWS.values():
        settings = settings_of(experiment, row, "sasrec")
        trained = VARIANTS[row.variant].training_settings(settings)
        is_on = [
            part for part in TRAINING_PARTS if getattr(trained, part) != getattr(default, part)
        ]
        assert is_on == list(VARIANTS[row.variant].training)


def test_a_row_whose_loss_needs_all_candidates_scores_all_and_the_others_score_a_part() -> None:
    experiment = Experiment(
        name="tiny",
        data=DataConfig(source="movielens"),
        training=TrainingConfig(scored_share=0.4, touched_rows=True, averaged_epochs=0),
    )
    trained = {
        name: VARIANTS[row.variant].training_settings(settings_of(experiment, row, "sasrec"))
        for name, row in ROWS.items()
    }
    whole = {name for name, each in trained.items() if each.scored_share == 1}
    assert whole == {"BCE", "CE with smoothing", "CE at its strongest"}
    assert all(each.touched_rows is (name not in whole) for name, each in trained.items())


@pytest.mark.parametrize("name", ["student.kind", "training.loss", "training.item_dropout"])
def test_a_trial_cannot_make_a_row_other_than_its_name(name: str) -> None:
    experiment = Experiment(name="tiny", data=DataConfig(source="movielens"))
    with pytest.raises(ConfigError, match=f"tiny: ladder.grids has {name}, which a row"):
        settings_of(experiment, ROWS["CE"], "sasrec", {name: "gru4rec"})


def test_a_trial_with_a_value_that_is_not_allowed_is_refused_in_one_line() -> None:
    experiment = Experiment(name="tiny", data=DataConfig(source="movielens"))
    with pytest.raises(ConfigError) as raised:
        settings_of(experiment, ROWS["CE"], "sasrec", {"student.dropout": 2})
    assert str(raised.value) == "tiny: student.dropout = 2: Input should be less than 1"


def test_every_row_without_a_teacher_is_tuned_like_ce_or_takes_its_choice() -> None:
    grids = {name: row.grid for name, row in ROWS.items() if not row.needs_teacher}
    assert grids.pop("CE with pair bonus") is None
    assert set(grids.values()) == {"plain"}


def test_only_rows_of_distributions_learn_distributions_whatever_the_experiment_says() -> None:
    """And no row of the binary loss, which has no probabilities, is refused for it."""
    experiment = Experiment(
        name="tiny",
        data=DataConfig(source="movielens"),
        distillation=DistillationConfig(list_loss="distribution"),
    )
    learning = {
        name
        for name, row in ROWS.items()
        for settings in [settings_of(experiment, row, "sasrec")]
        if VARIANTS[row.variant].settings(settings.distillation).list_loss == "distribution"
    }
    assert learning == {"DLLM2Rec with distributions", "distributions only"}
