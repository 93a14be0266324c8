"""The signals of a fusion teacher on the tiny dataset, worked out by hand."""

import math

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.evaluation.baselines.ordered_neighbours import OrderedNeighbours, OrderedSettings
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.teacher.fusion.signals import FLOOR, Signals


@pytest.fixture
def neighbours(tiny_dataset: Dataset) -> OrderedNeighbours:
    return OrderedNeighbours(tiny_dataset, OrderedSettings(length_exponent=0.0, backward=0.0))


def test_votes_become_the_logarithms_of_their_shares(neighbours: OrderedNeighbours) -> None:
    """Row 6 is bob after b. Of the others ann alone has b, and c after it: c has all votes."""
    signals = Signals(neighbours, None)(np.array([6]))

    assert signals["matched"][0].tolist() == [0, 0, 0, 0, 0, 0]  # c is in all sessions: log(1) = 0
    assert signals["neighbours"][0].tolist() == pytest.approx([math.log(FLOOR)] * 6)

    # Row 10 is cay after a and d: ann has a, then b and c at distances 1 and 2.
    signals = Signals(neighbours, None)(np.array([10]))
    assert signals["matched"][0].tolist() == [0, 0, 1, 0, 0, 0]  # of b and c, c is in all sessions
    expected = [math.log(FLOOR)] * 6
    expected[2] = math.log(1 + FLOOR)
    assert signals["neighbours"][0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_votes_of_a_training_example_are_those_of_other_users() -> None:
    """Only bob's y counts: ann's x belongs to the example itself."""
    dataset = make_dataset(
        name="two",
        catalog=Catalog(("a", "x", "y"), ("A", "X", "Y"), ({}, {}, {})),
        user_ids=("ann", "bob"),
        item_indices=np.array([1, 2, 1, 3]),
        user_offsets=np.array([0, 2, 4]),
        splits=np.array([Split.TRAIN] * 4),
    )
    matched = Signals(OrderedNeighbours(dataset, OrderedSettings()), None)(np.array([1]))["matched"]

    assert matched[0].tolist() == [0, 0, 0, 1]


def test_popularity_is_the_logarithm_of_training_interactions(
    neighbours: OrderedNeighbours,
) -> None:
    popularity = Signals(neighbours, None)(np.array([2]))["popularity"][0]

    counts = np.array([0, 2, 2, 3, 0, 0])  # a twice, b twice, c three times
    assert popularity.tolist() == pytest.approx(np.log(1 + counts).tolist())


def test_titles_are_compared_by_cosine_and_can_be_left_out(
    tiny_dataset: Dataset, neighbours: OrderedNeighbours
) -> None:
    degrees = np.radians([0, 0, 72, 144, 216, 288])  # a regular pentagon, which stays one
    embeddings = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    titles = TitleNeighbours(tiny_dataset, embeddings)

    signals = Signals(neighbours, titles)(np.array([1]))  # ann after a

    angles = [0, 72, 144, 144, 72]
    expected = [math.cos(math.radians(angle)) for angle in angles]
    assert signals["titles"][0, 1:].tolist() == pytest.approx(expected, abs=1e-5)
    assert list(Signals(neighbours, None)(np.array([1]))) == ["neighbours", "matched", "popularity"]
