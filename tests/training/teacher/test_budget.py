import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.errors import ConfigError
from training.settings.teacher import TeacherConfig
from training.teacher.budget import (
    answered_rows,
    held_out_rows,
    newest_first,
    refuse_no_examples,
    tuning_validation_rows,
)


def ten_tokens_each(rows: NDArray[np.int64]) -> int:
    return 10 * len(rows)


def train_rows(dataset: Dataset, **budget: int) -> list[int]:
    rows = answered_rows(
        dataset, TeacherConfig.model_validate({"kind": "retrieval", **budget}), ten_tokens_each
    )
    answered: list[int] = np.intersect1d(rows, dataset.example_rows(Split.TRAIN)).tolist()
    return answered


def test_the_newest_example_of_each_user_comes_first(tiny_dataset: Dataset) -> None:
    train = tiny_dataset.example_rows(Split.TRAIN)  # ann 1 2, bob 6, cay 10
    assert newest_first(tiny_dataset, train).tolist() == [2, 6, 10, 1]


def test_without_a_budget_every_example_is_answered(tiny_dataset: Dataset) -> None:
    rows = answered_rows(tiny_dataset, TeacherConfig(kind="retrieval"), ten_tokens_each)
    assert rows.tolist() == [1, 2, 3, 4, 6, 7, 10]


def test_a_budget_in_sequences_is_spent_on_the_newest(tiny_dataset: Dataset) -> None:
    assert train_rows(tiny_dataset, budget_sequences=3) == [2, 6, 10]


@pytest.mark.parametrize(("tokens", "rows"), [(39, [2, 6, 10]), (40, [1, 2, 6, 10]), (10, [2])])
def test_a_budget_in_tokens_buys_what_it_can(
    tiny_dataset: Dataset, tokens: int, rows: list[int]
) -> None:
    assert train_rows(tiny_dataset, budget_tokens=tokens) == rows


def test_the_training_budget_does_not_limit_held_out_examples(tiny_dataset: Dataset) -> None:
    config = TeacherConfig(kind="retrieval", budget_sequences=1)
    assert {3, 4, 7} <= set(answered_rows(tiny_dataset, config, ten_tokens_each).tolist())


def test_a_retrieval_teacher_needs_training_examples(tiny_dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.budget_sequences = 0: a retrieval teacher"):
        refuse_no_examples(TeacherConfig(kind="retrieval", budget_sequences=0))
    config = TeacherConfig(kind="generative", budget_sequences=0, budget_tokens=5)
    refuse_no_examples(config)
    assert answered_rows(tiny_dataset, config, ten_tokens_each).tolist() == [3, 4, 7]


def test_the_held_out_budget_limits_held_out_examples_only(chain_dataset: Dataset) -> None:
    config = TeacherConfig(kind="retrieval", budget_held_out=7)
    answered = answered_rows(chain_dataset, config, ten_tokens_each)
    for split, count in (Split.TRAIN, None), (Split.VALIDATION, 7), (Split.TEST, 7):
        rows = chain_dataset.example_rows(split)
        assert len(np.intersect1d(answered, rows)) == (count or len(rows))


def test_a_larger_sample_of_held_out_examples_contains_a_smaller_one(
    chain_dataset: Dataset,
) -> None:
    """For teachers of different seeds too, so that they can be compared on common examples."""
    small, large = (
        held_out_rows(chain_dataset, TeacherConfig(budget_held_out=count, seed=count), Split.TEST)
        for count in (7, 20)
    )
    assert set(small) < set(large)
    assert (np.diff(small) > 0).all()


def test_a_budget_that_buys_nothing_is_refused(tiny_dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.budget_tokens = 9: allows no example"):
        train_rows(tiny_dataset, budget_tokens=9)


def test_tuning_is_validated_on_the_same_sample_each_time(chain_dataset: Dataset) -> None:
    config = TeacherConfig.model_validate({"tuner": {"validation_examples": 7}})
    rows = tuning_validation_rows(chain_dataset, config)
    assert len(rows) == 7
    assert set(chain_dataset.splits[rows]) == {Split.VALIDATION}
    np.testing.assert_array_equal(rows, tuning_validation_rows(chain_dataset, config))
