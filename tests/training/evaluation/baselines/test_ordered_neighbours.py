import math
from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluation.baselines.conftest import with_next_item
from training.data.dataset import Dataset
from training.evaluation.baselines import ordered_neighbours
from training.evaluation.baselines.ordered_neighbours import (
    OrderedNeighbours,
    OrderedSettings,
    tuned_ordered_neighbours,
)

SETTINGS = OrderedSettings(
    num_neighbours=10, history_length=10, length_exponent=0.5, reach=4.0, backward=0.3
)


def scores(dataset: Dataset, settings: OrderedSettings) -> list[float]:
    result: list[float] = OrderedNeighbours(dataset, settings)(np.array([14]))[0].tolist()
    return result


def test_an_item_scores_by_how_soon_it_follows_the_latest_match(visits: Dataset) -> None:
    # Latest first a c b weigh 1, 2/3, 1/3. Similarity by the root of the length, times the weight
    # of the latest match: ann a b d matches a, bob c e and dan b c d match c.
    ann = (1 + 1 / 3) / math.sqrt(3) * 1
    bob = 2 / 3 / math.sqrt(2) * 2 / 3
    dan = (2 / 3 + 1 / 3) / math.sqrt(3) * 2 / 3
    one, two = math.exp(-1 / 4), math.exp(-2 / 4)  # items from the match

    expected = [
        0,
        0.3 * ann * math.log(5 / 2),
        (one * ann + 0.3 * one * dan) * math.log(5 / 3),
        (0.3 * bob + 0.3 * dan) * math.log(5 / 3),
        (two * ann + one * dan) * math.log(5 / 3),
        one * bob * math.log(5 / 1),
        0,
    ]
    assert scores(visits, SETTINGS) == pytest.approx(expected, abs=1e-5)


def test_only_the_most_similar_neighbours_vote(visits: Dataset) -> None:
    line = scores(visits, replace(SETTINGS, num_neighbours=1))  # ann

    assert line[5] < 1e-5  # bob's e
    assert line[1] > 0.1


def test_without_the_length_a_long_session_is_as_similar_as_a_short_one(visits: Dataset) -> None:
    line = scores(visits, replace(SETTINGS, length_exponent=0.0))

    assert line[5] == pytest.approx(math.exp(-1 / 4) * 4 / 9 * math.log(5), abs=1e-5)


def test_a_shorter_history_ignores_older_items(visits: Dataset) -> None:
    line = scores(visits, replace(SETTINGS, history_length=1))  # a, so ann alone

    assert line[5] < 1e-5
    assert line[2] == pytest.approx(math.exp(-1 / 4) / math.sqrt(3) * math.log(5 / 3), abs=1e-5)


def test_without_a_neighbour_popularity_decides_the_order(tiny_dataset: Dataset) -> None:
    line = OrderedNeighbours(tiny_dataset, replace(SETTINGS, history_length=1))(np.array([4]))[0]

    assert line.argsort()[::-1][0] == 3  # c is in every session
    assert 0 < line.max() < 1e-5


def test_each_setting_is_tuned_on_validation(
    visits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"num_neighbours": (1, 10), "history_length": (1, 10)}
    monkeypatch.setattr(ordered_neighbours, "OPTIONS", options)
    monkeypatch.setattr(ordered_neighbours, "START", replace(SETTINGS, history_length=1))
    dataset = with_next_item(visits, 5)  # bob's e needs a longer history and more neighbours

    assert tuned_ordered_neighbours(dataset).settings == SETTINGS


def test_votes_are_scores_without_popularity(visits: Dataset) -> None:
    neighbours = OrderedNeighbours(visits, SETTINGS)
    rows = np.array([14])

    votes = neighbours.votes(rows)

    np.testing.assert_allclose(votes + neighbours.fallback, neighbours(rows), atol=1e-7)
    assert votes[0, [0, 6]].tolist() == [0, 0]
    assert neighbours.votes(rows[:0]).shape == (0, 7)
