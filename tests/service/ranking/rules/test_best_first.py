"""The best items by boosted score are found by asking for few items, and proven to be the best."""

import numpy as np

from service.ranking.rules.best_first import BestFirst
from service.ranking.rules.types import Scored
from service.ranking.types import Mask

EVERYTHING = np.array([False, *[True] * 100])


class Descending:
    """A scorer whose item 1 has score 100, item 2 score 99 and so on; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, allowed: Mask, number: int) -> Scored:
        self.asked.append(number)
        indices = np.flatnonzero(allowed)[:number].astype(np.int64)
        return indices, (101.0 - indices).astype(np.float64)


def boosts(**boost_by_item: float) -> np.ndarray:
    dense = np.zeros(101)
    for name, boost in boost_by_item.items():
        dense[int(name[1:])] = boost
    return dense


def test_without_boosts_the_scorer_is_asked_once() -> None:
    scorer = Descending()
    (indices, _), is_all = BestFirst(scorer, EVERYTHING, None, None).at_least(3)
    assert (indices.tolist(), is_all, scorer.asked) == ([1, 2, 3], False, [3])


def test_an_item_far_behind_is_found_if_its_boost_puts_it_first() -> None:
    """Item 90 has 11 + 95 = 106. After 3 items, with a bound of 98 + 95, none is proven."""
    scorer = Descending()
    best = BestFirst(scorer, EVERYTHING, boosts(i90=95), None)
    (indices, scores), _ = best.at_least(3)
    assert (indices[:3].tolist(), scores[:3].tolist()) == ([90, 1, 2], [106, 100, 99])
    assert scorer.asked == [3, 12, 48, 192]


def test_items_above_the_bound_of_all_others_need_no_further_question() -> None:
    """Only item 2 is boosted, and it is among the first 3: no other can exceed the third."""
    scorer = Descending()
    (indices, _), _ = BestFirst(scorer, EVERYTHING, boosts(i2=5), None).at_least(3)
    assert (indices.tolist(), scorer.asked) == ([2, 1, 3], [3])


def test_below_the_lowest_score_nothing_more_is_to_be_found() -> None:
    (indices, _), is_all = BestFirst(Descending(), EVERYTHING, None, 98.5).at_least(10)
    assert (indices.tolist(), is_all) == ([1, 2], True)


def test_nothing_is_asked_if_nothing_is_allowed() -> None:
    scorer = Descending()
    (indices, _), is_all = BestFirst(scorer, ~np.ones(101, np.bool_), None, None).at_least(3)
    assert (indices.tolist(), is_all, scorer.asked) == ([], True, [])
