import numpy as np

from training.data.dataset import Dataset
from training.evaluation.baselines.sessions import Groups, Sessions, distinct_latest


def test_a_session_keeps_each_item_at_its_last_occurrence(visits: Dataset) -> None:
    index = Sessions(visits)

    of_eve = index.sessions == 4
    assert index.items[of_eve].tolist() == [2, 3, 1]  # a b c a
    assert index.places[of_eve].tolist() == [0, 1, 2]
    assert index.lengths.tolist() == [3, 2, 2, 3, 3]
    assert index.sessions_with.tolist() == [0, 2, 3, 3, 3, 1, 1]
    assert index.num_sessions == 5


def test_held_out_and_history_rows_are_in_no_session(tiny_dataset: Dataset) -> None:
    index = Sessions(tiny_dataset)

    assert index.items.tolist() == [1, 2, 3, 2, 3, 1, 3]  # neither d nor e
    assert index.sessions.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_matches_come_item_by_item_without_the_own_session(visits: Dataset) -> None:
    index = Sessions(visits)

    pairs, indices = index.matches(14, np.array([3, 1]))  # c, then a

    assert index.sessions[pairs].tolist() == [1, 3, 0]  # bob, dan; ann
    assert indices.tolist() == [0, 0, 1]


def test_the_latest_items_are_distinct_and_newest_first() -> None:
    history = np.array([1, 2, 3, 1], dtype=np.int32)

    assert distinct_latest(history, 2).tolist() == [1, 3]
    assert distinct_latest(history, 9).tolist() == [1, 3, 2]


def test_members_come_group_by_group_with_the_place_of_their_group() -> None:
    groups = Groups(np.array([2, 0, 2, 3]), np.array([7, 8, 9, 6]), num_groups=4)

    members, places = groups.members_of(np.array([3, 1, 2]))

    assert members.tolist() == [6, 7, 9]
    assert places.tolist() == [0, 2, 2]
