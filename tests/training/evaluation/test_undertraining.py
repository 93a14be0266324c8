"""Students that were trained too little are told, with the setting to change."""

import pytest

from training.evaluation.undertraining import is_late, signs_of_undertraining, signs_without_hits
from training.settings.experiment import TrainingConfig

LARGE_SHOP = TrainingConfig(batch_size=128, max_epochs=25, patience=5)


@pytest.mark.parametrize(
    ("best_epoch", "max_epochs", "patience", "late"),
    [
        (25, 25, 5, True),
        (23, 25, 5, True),  # 2 of 25 epochs are left, less than a tenth
        (22, 25, 5, False),
        (11, 12, 2, True),
        (11, 12, 1, False),  # patience ended the training, not the number of epochs
        (6, 6, 3, True),
        (5, 6, 3, False),
        (90, 100, 15, False),
        (91, 100, 15, True),
    ],
)
def test_a_best_epoch_is_late_in_the_last_tenth_unless_patience_ended_the_training(
    best_epoch: int, max_epochs: int, patience: int, late: bool
) -> None:
    config = TrainingConfig(max_epochs=max_epochs, patience=patience)

    assert is_late(best_epoch, config) is late


def test_students_that_were_best_at_the_end_are_named_in_one_line() -> None:
    best_epochs = {"distilled-0": 12, "distilled-1": 25, "plain-0": 24}

    assert signs_of_undertraining(best_epochs, 400, LARGE_SHOP) == [
        "trained too briefly: the best epoch of distilled-1 (25), plain-0 (24) is among the last "
        "of 25; raise [training] max_epochs"
    ]


def test_a_student_that_was_best_at_the_end_by_chance_is_not_remarked_upon() -> None:
    best_epochs = {"distilled-0": 25, "distilled-1": 12}

    assert not signs_of_undertraining(best_epochs, 400, LARGE_SHOP)


def test_a_variant_whose_students_were_all_best_after_one_epoch_is_told() -> None:
    best_epochs = {"distilled-0": 1, "distilled-1": 1, "plain-0": 1, "plain-1": 12}

    assert signs_of_undertraining(best_epochs, 400, LARGE_SHOP) == [
        "ended at once: the best epoch of distilled-0, distilled-1 is the first, and patience = 5 "
        "ended the training; raise [training] patience, or learning_rate"
    ]
    assert not signs_of_undertraining({**best_epochs, "distilled-1": 12}, 400, LARGE_SHOP)
    short = TrainingConfig(batch_size=128, max_epochs=6, patience=5)  # its last epoch ended it
    assert not signs_of_undertraining(best_epochs, 400, short)


def test_an_epoch_of_few_steps_is_told_with_the_size_of_its_batches() -> None:
    assert signs_of_undertraining({"plain-0": 12}, 3, LARGE_SHOP) == [
        "few steps: an epoch has 3 of 128 histories each; lower [training] batch_size, or raise "
        "learning_rate"
    ]


def test_students_that_were_trained_enough_are_not_remarked_upon() -> None:
    assert not signs_of_undertraining({"plain-0": 12}, 10, LARGE_SHOP)
    assert not signs_of_undertraining({}, 3, LARGE_SHOP)
    one_at_a_time = TrainingConfig(batch_size=1, max_epochs=25, patience=5)
    assert not signs_of_undertraining({"plain-0": 12}, 3, one_at_a_time)


def test_students_without_any_hit_on_validation_are_named() -> None:
    assert signs_without_hits(["plain-0", "plain-1"]) == [
        "nothing to choose by: the validation NDCG@20 of plain-0, plain-1 is 0, so the last of "
        "[training] max_epochs was kept; more interactions are needed"
    ]
    assert not signs_without_hits([])
