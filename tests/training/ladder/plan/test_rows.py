"""The settings that a row is trained with."""

import pytest

from training.ladder.plan.rows import ROWS, settings_of
from training.settings.experiment import DataConfig, Experiment, TrainingConfig
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
