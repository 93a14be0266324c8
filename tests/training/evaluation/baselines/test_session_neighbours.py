import math

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.evaluation.baselines.session_neighbours import (
    Groups,
    NeighbourSettings,
    SessionNeighbours,
    tuned_session_neighbours,
)


@pytest.fixture
def visits() -> Dataset:
    """Four neighbours, then eve, whose history is a b c a before her held-out row 14.

    ann: a b d, bob: c e, cay: d f, dan: b c d. Nobody else has both a and c.
    """
    sessions = [[1, 2, 4], [3, 5], [4, 6], [2, 3, 4], [1, 2, 3, 1, 6]]
    lengths = [len(session) for session in sessions]
    return make_dataset(
        name="visits",
        catalog=Catalog(tuple("abcdef"), tuple("ABCDEF"), ({},) * 6),
        user_ids=("ann", "bob", "cay", "dan", "eve"),
        item_indices=np.concatenate(sessions),
        user_offsets=np.cumsum([0, *lengths]),
        splits=np.array([Split.TRAIN] * 14 + [Split.VALIDATION]),
    )


def scores(dataset: Dataset, num_neighbours: int, history_length: int) -> list[float]:
    settings = NeighbourSettings(num_neighbours, history_length)
    result: list[float] = SessionNeighbours(dataset, settings)(np.array([14]))[0].tolist()
    return result


def test_an_item_scores_by_the_neighbours_that_have_it_and_by_its_rarity(visits: Dataset) -> None:
    # Latest first a c b weigh 1, 2/3, 1/3. Similarity times latest match: ann (1 + 1/3) * 1,
    # bob 2/3 * 2/3, dan (2/3 + 1/3) * 2/3; cay shares nothing, eve herself is left out.
    ann, bob, dan = 4 / 3, 4 / 9, 2 / 3

    expected = [
        0,
        ann * math.log(5 / 2),
        (ann + dan) * math.log(5 / 3),
        (bob + dan) * math.log(5 / 3),
        (ann + dan) * math.log(5 / 3),
        bob * math.log(5 / 1),
        0,
    ]
    assert scores(visits, 10, 4) == pytest.approx(expected, abs=1e-5)


def test_only_the_most_similar_neighbours_vote(visits: Dataset) -> None:
    everyone, nearest = scores(visits, 10, 4), scores(visits, 1, 4)

    assert everyone[5] > 0.1  # bob's e
    assert nearest == pytest.approx(
        [0, *(4 / 3 * math.log(each) for each in (5 / 2, 5 / 3)), 0, 4 / 3 * math.log(5 / 3), 0, 0],
        abs=1e-5,
    )


def test_a_shorter_history_length_ignores_older_items(visits: Dataset) -> None:
    # Of the last two, a and c: ann shares a, bob and dan share c at half the weight.
    expected = 0.25 * math.log(5 / 1)

    assert scores(visits, 10, 2)[5] == pytest.approx(expected, abs=1e-5)


def test_without_a_neighbour_popularity_decides_the_order(tiny_dataset: Dataset) -> None:
    settings = NeighbourSettings(num_neighbours=5, history_length=1)

    line = SessionNeighbours(tiny_dataset, settings)(np.array([4]))[0]  # after d, met by no one

    assert line.argsort()[::-1][0] == 3  # c is in every session
    assert line.max() < 1e-5


def test_the_settings_are_tuned_on_validation(
    visits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "training.evaluation.baselines.session_neighbours"
    monkeypatch.setattr(f"{module}.NUM_NEIGHBOURS", (1, 3))
    monkeypatch.setattr(f"{module}.HISTORY_LENGTHS", (1, 4))
    items = visits.item_indices.copy()
    items[14] = 5  # eve's next item is bob's e, which needs more neighbours and a longer history
    dataset = make_dataset(
        "e", visits.catalog, visits.user_ids, items, visits.user_offsets, visits.splits
    )

    assert tuned_session_neighbours(dataset).settings == NeighbourSettings(3, 4)


def test_members_come_group_by_group_with_the_place_of_their_group() -> None:
    groups = Groups(np.array([2, 0, 2, 3]), np.array([7, 8, 9, 6]), num_groups=4)

    members, places = groups.members_of(np.array([3, 1, 2]))

    assert members.tolist() == [6, 7, 9]
    assert places.tolist() == [0, 2, 2]
