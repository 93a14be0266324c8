import math
from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluation.baselines.conftest import with_next_item
from training.data.dataset import Dataset
from training.evaluation.baselines import item_neighbours
from training.evaluation.baselines.item_neighbours import (
    ItemNeighbours,
    ItemSettings,
    tuned_item_neighbours,
)

PLAIN = ItemSettings(
    reach=4.0,
    backward=0.0,
    decay=0.5,
    rarity_of_read=0.0,
    rarity_of_scored=0.0,
    shrinkage=0.0,
)
NEXT, SECOND = 1.0, math.exp(-1 / 4)  # weights of a pair, by its distance


def scores(dataset: Dataset, settings: ItemSettings) -> list[float]:
    result: list[float] = ItemNeighbours(dataset, settings)(np.array([14]))[0].tolist()
    return result


def test_an_item_scores_by_how_soon_it_follows_the_items_of_the_history(visits: Dataset) -> None:
    # The history is a c b, latest first, which weigh 1, 1/2, 1/4. Sessions: ann a b d, bob c e,
    # cay d f, dan b c d, and eve's own, whose last occurrences are b c a.
    expected = [
        0,
        NEXT / 2 + SECOND / 4,  # a: after c and b in eve's own
        NEXT,  # b: after a in ann's
        (NEXT + NEXT) / 4,  # c: after b in dan's and eve's
        SECOND + NEXT / 2 + (NEXT + SECOND) / 4,  # d: after a; after c; after b in ann's and dan's
        NEXT / 2,  # e: after c in bob's
        0,
    ]
    assert scores(visits, PLAIN) == pytest.approx(expected, abs=1e-5)


def test_an_item_that_comes_before_counts_by_a_part(visits: Dataset) -> None:
    both = np.subtract(scores(visits, replace(PLAIN, backward=0.3)), scores(visits, PLAIN))

    assert both[5] == pytest.approx(0, abs=1e-6)  # e comes before nothing
    # b comes before c in two sessions; eve's own has it two before a, too.
    assert both[2] == pytest.approx(0.3 * (SECOND + (NEXT + NEXT) / 2), abs=1e-5)


def test_pairs_of_items_that_many_sessions_have_count_less(visits: Dataset) -> None:
    read = scores(visits, replace(PLAIN, rarity_of_read=1.0))
    scored = scores(visits, replace(PLAIN, rarity_of_scored=0.5))
    shrunk = scores(visits, replace(PLAIN, rarity_of_read=1.0, shrinkage=1.0))

    assert read[5] == pytest.approx(NEXT / 2 / 3, abs=1e-5)  # three sessions have c
    assert scored[2] == pytest.approx(NEXT / math.sqrt(3), abs=1e-5)  # three have b
    assert shrunk[5] == pytest.approx(NEXT / 2 / 4, abs=1e-5)


def test_pairs_that_are_far_apart_are_not_counted(visits: Dataset) -> None:
    near = ItemNeighbours(visits, replace(PLAIN, reach=0.25))(np.array([14]))[0]

    # d right after c in dan's and right after b in ann's; a is two items before it.
    assert near[4] == pytest.approx(NEXT / 2 + NEXT / 4, abs=1e-5)


def test_of_a_large_dataset_only_the_nearest_pairs_are_counted(
    visits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_neighbours, "MAX_PAIRS", 5)  # the sessions have more items than that
    near = scores(visits, replace(PLAIN, reach=0.25))

    assert scores(visits, PLAIN) == pytest.approx(near, abs=1e-6)


def test_without_pairs_popularity_decides_the_order(tiny_dataset: Dataset) -> None:
    line = ItemNeighbours(tiny_dataset, replace(PLAIN, decay=0.0))(np.array([4]))[0]

    assert line.argsort()[::-1][0] == 3  # c is in every session


def test_settings_are_tuned_on_validation(visits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    near = replace(PLAIN, reach=0.25)
    options = {"reach": (0.25, 4.0), "rarity_of_scored": (0.0, 1.0)}
    monkeypatch.setattr(item_neighbours, "OPTIONS", options)
    monkeypatch.setattr(item_neighbours, "START", near)
    dataset = with_next_item(visits, 5)  # e is ahead of d only where d's three sessions count

    assert tuned_item_neighbours(dataset).settings == replace(near, rarity_of_scored=1.0)
