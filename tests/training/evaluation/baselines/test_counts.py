import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.evaluation.baselines.counts import (
    POPULARITY_SHARES,
    Transitions,
    popularity,
    tuned_transitions,
)


def test_popularity_is_the_share_of_training_interactions(tiny_dataset: Dataset) -> None:
    scores = popularity(tiny_dataset)(np.array([3, 7]))

    # Train: ann a b c, bob b c, cay a c.
    assert scores.tolist() == [pytest.approx([0, 2 / 7, 2 / 7, 3 / 7, 0, 0])] * 2


def test_transitions_mix_what_followed_the_last_item_with_popularity(
    tiny_dataset: Dataset,
) -> None:
    scores = Transitions(tiny_dataset, popularity_share=0.5)(np.array([1, 2]))

    # a was followed by b once in training (cay's d is no TRAIN row); b by c twice.
    assert scores[0].tolist() == pytest.approx([0, 1 / 7, 1 / 7 + 0.5, 3 / 14, 0, 0])
    assert scores[1].tolist() == pytest.approx([0, 1 / 7, 1 / 7, 3 / 14 + 0.5, 0, 0])


def test_an_item_that_nothing_followed_falls_back_to_popularity(tiny_dataset: Dataset) -> None:
    scores = Transitions(tiny_dataset, popularity_share=0.5)(np.array([7]))  # after c

    assert scores[0].tolist() == pytest.approx([0, 1 / 7, 1 / 7, 3 / 14, 0, 0])


def test_the_popularity_share_is_tuned_on_validation_whatever_test_would_prefer() -> None:
    """Item a is popular, and c follows b: validation asks for a after b, test for c."""
    train, history, validation, test = Split
    dataset = make_dataset(
        name="contrary splits",
        catalog=Catalog(item_ids=("a", "b", "c"), titles=("A", "B", "C"), attributes=({},) * 3),
        user_ids=tuple("0123456789x"),
        item_indices=np.array([1] * 8 + [2, 3, 2, 1, 2, 3]),
        user_offsets=np.array([*range(9), 10, 12, 14]),
        splits=np.array([train] * 10 + [history, validation, history, test]),
    )
    # Of a and c: 0.8 s and 1 - 0.9 s, so a is above c from s = 0.59 on.
    assert tuned_transitions(dataset).popularity_share == max(POPULARITY_SHARES) == 0.7


def test_refitted_popularity_counts_what_the_refit_learns(tiny_dataset: Dataset) -> None:
    scores = popularity(tiny_dataset, tiny_dataset.under("refit"))(np.array([7]))
    # Train: ann a b c, bob b c, cay a c; and ann's d of validation.
    assert scores[0].tolist() == pytest.approx([0, 2 / 8, 2 / 8, 3 / 8, 1 / 8, 0])
