import math
from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluation.baselines.conftest import with_next_item
from training.data.dataset import Dataset, Split, make_dataset
from training.evaluation.baselines import session_neighbours
from training.evaluation.baselines.session_neighbours import (
    NeighbourSettings,
    SessionNeighbours,
    tuned_session_neighbours,
)

EVERYONE = NeighbourSettings(num_neighbours=10, history_length=4, num_recent=10)


def scores(dataset: Dataset, settings: NeighbourSettings, row: int = 14) -> list[float]:
    result: list[float] = SessionNeighbours(dataset, settings)(np.array([row]))[0].tolist()
    return result


def test_an_item_scores_by_the_neighbours_that_have_it_and_by_its_rarity(visits: Dataset) -> None:
    # The last four are a c b a: of three distinct items a weighs 4/3, c 3/3, b 2/3. Matches at the
    # latest place weigh 0.9, one earlier 0.8. Similarity times match: ann (4/3 + 2/3) * 0.9,
    # bob 3/3 * 0.8, dan (3/3 + 2/3) * 0.8; cay shares nothing, eve herself is left out.
    ann, bob, dan = 1.8, 0.8, 4 / 3

    # All five sessions have 13 interactions with distinct items.
    expected = [
        0,
        ann * math.log(13 / 2),
        (ann + dan) * math.log(13 / 3),
        (bob + dan) * math.log(13 / 3),
        (ann + dan) * math.log(13 / 3),
        bob * math.log(13 / 1),
        0,
    ]
    assert scores(visits, EVERYONE) == pytest.approx(expected, abs=1e-5)


def test_only_the_most_similar_neighbours_vote(visits: Dataset) -> None:
    nearest = scores(visits, replace(EVERYONE, num_neighbours=1))

    assert nearest == pytest.approx(
        [0, *(1.8 * math.log(13 / each) for each in (2, 3)), 0, 1.8 * math.log(13 / 3), 0, 0],
        abs=1e-5,
    )


def test_of_equally_similar_sessions_the_more_recent_one_votes(visits: Dataset) -> None:
    # Of the last two, a and c, bob and dan share c alone. Dan comes later in the dataset.
    line = scores(visits, NeighbourSettings(num_neighbours=2, history_length=2, num_recent=10))

    assert line[5] < 1e-5  # bob's e
    assert line[2] == pytest.approx((0.9 + 0.5 * 0.8) * math.log(13 / 3), abs=1e-5)  # ann and dan


def test_only_the_most_recent_matching_sessions_are_compared(visits: Dataset) -> None:
    line = scores(visits, replace(EVERYONE, num_recent=2))  # bob and dan, not ann

    assert line[1] < 1e-5  # ann's a
    assert line[5] == pytest.approx(0.8 * math.log(13), abs=1e-5)  # bob's e


@pytest.fixture
def longer(visits: Dataset) -> Dataset:
    """With a sixth session, which has every item."""
    return make_dataset(
        "longer",
        visits.catalog,
        (*visits.user_ids, "fay"),
        np.concatenate([visits.item_indices, np.arange(1, 7)]),
        np.append(visits.user_offsets, len(visits.item_indices) + 6),
        np.concatenate([visits.splits, np.full(6, Split.TRAIN)]),
    )


def test_the_longest_sessions_are_left_out_and_not_counted(
    visits: Dataset, longer: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_neighbours, "LONGEST", 0.8)  # at most one of six

    assert scores(longer, EVERYONE) == pytest.approx(scores(visits, EVERYONE), abs=1e-5)


def test_of_a_few_sessions_even_the_longest_is_used(longer: Dataset) -> None:
    """A two-hundredth of six is less than one."""
    assert SessionNeighbours(longer, EVERYONE).index.lengths.sum() == 13 + 6


def test_a_shorter_history_length_ignores_older_items(visits: Dataset) -> None:
    # Of the last two, a and c: ann shares a, bob and dan share c at half the weight.
    expected = 0.5 * 0.8 * math.log(13 / 1)

    assert scores(visits, replace(EVERYONE, history_length=2))[5] == pytest.approx(
        expected, abs=1e-5
    )


def test_without_a_neighbour_popularity_decides_the_order(tiny_dataset: Dataset) -> None:
    settings = NeighbourSettings(num_neighbours=5, history_length=1)

    line = SessionNeighbours(tiny_dataset, settings)(np.array([4]))[0]  # after d, met by no one

    assert line.argsort()[::-1][0] in (2, 3)  # b and c are in both of the shorter sessions
    assert 0 < line.max() < 1e-5


def test_the_settings_are_tuned_on_validation(
    visits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"num_neighbours": (1, 3), "history_length": (1, 4)}
    monkeypatch.setattr(session_neighbours, "OPTIONS", options)
    monkeypatch.setattr(session_neighbours, "START", NeighbourSettings(3, 1, 10))
    # Eve's next item is bob's e, which needs more neighbours and a longer history.
    dataset = with_next_item(visits, 5)

    assert tuned_session_neighbours(dataset).settings == NeighbourSettings(3, 4, 10)


def test_settings_of_one_dataset_can_be_fitted_on_another(visits: Dataset) -> None:
    more = replace(visits, splits=np.full(15, Split.TRAIN, dtype=np.uint8), fingerprint="more")

    fitted = tuned_session_neighbours(visits, fitted_on=more)

    assert fitted.dataset is more
    assert fitted.index.lengths.sum() == 13 + 1  # eve's session has now four items
