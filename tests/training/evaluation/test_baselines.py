import numpy as np
import pytest

from training.data.dataset import Dataset
from training.evaluation.baselines import Transitions, popularity


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
