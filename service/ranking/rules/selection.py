"""Selects the items of a list by the rules of a query."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from service.ranking.catalog import Catalog
from service.ranking.item_neighbours import ItemVectors
from service.ranking.rules.best_first import BestFirst
from service.ranking.rules.boosts import boosts_of
from service.ranking.rules.diversity import choose_diverse, pool_size
from service.ranking.rules.types import Rules, Scorer, Selection, Shortage
from service.ranking.rules.value_limits import ValueLimits
from service.ranking.types import Mask, Ranking


@dataclass(frozen=True, slots=True)
class Eligible:
    """The items that pass candidates, filters and exclusions, as masks `[catalog rows]`.

    Attributes:
        pinnable: items that may be pinned; seen items are among them.
        others: items that may be recommended without a pin.
    """

    pinnable: Mask
    others: Mask


class Selector:
    """Selects at most `k` items for one list by the rules of a query."""

    def __init__(self, catalog: Catalog, vectors: ItemVectors, rules: Rules, k: int) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._rules = rules
        self._k = k

    def select(self, eligible: Eligible, scorer: Scorer) -> Selection:
        """Selects `k` items, or fewer if the rules allow fewer.

        Args:
            eligible: the items to select from.
            scorer: ranks items without boosts.

        Raises:
            StudentError: the scorer's student failed.
        """
        pins = self._pins(eligible.pinnable)
        others = eligible.others.copy()
        others[list(pins.values())] = False
        boosts = boosts_of(self._catalog, self._rules)
        best = BestFirst(scorer, others, boosts, self._rules.min_score)
        limits = ValueLimits(self._catalog, self._rules.max_per)
        for item_index in pins.values():
            limits.count(item_index)
        free = self._k - len(pins)
        chosen = self._diverse(best, pins, free, limits) if self._rules.diversity else []
        chosen = _filled(best, chosen, free, limits)
        ranking = _with_pins(chosen, _scored(best, pins, eligible.pinnable), self._k)
        return Selection(
            ranking,
            _shortage(best, free) if len(chosen) < free else None,
            [each for each in self._rules.pins.values() if self._index(each) not in pins.values()],
        )

    def _index(self, item_id: str) -> int | None:
        return self._catalog.index(item_id)

    def _pins(self, pinnable: Mask) -> dict[int, int]:
        """Returns the item index of each pin whose item is in the mask `pinnable`, by position."""
        indices = {place: self._index(item_id) for place, item_id in self._rules.pins.items()}
        return {place: index for place, index in indices.items() if index and pinnable[index]}

    def _diverse(
        self, best: BestFirst, pins: Mapping[int, int], free: int, limits: ValueLimits
    ) -> Ranking:
        """Chooses up to `free` of the best items with diversity, and counts them in `limits`.

        Args:
            best: ranks the items that may be recommended without a pin.
            pins: item index by position, of the pinned items, which also count for diversity.
            free: number of places without a pin.
            limits: limits by value; they already count the pinned items.
        """
        size = pool_size(self._k)
        (indices, scores), _ = best.at_least(size)
        indices, scores = indices[:size], scores[:size]
        positions = choose_diverse(
            (indices, scores),
            self._vectors.unit_vectors(indices.tolist()),
            self._vectors.unit_vectors(list(pins.values())),
            self._rules.diversity,
            free,
            limits,
        )
        return [(int(indices[each]), float(scores[each])) for each in positions]


def _filled(best: BestFirst, chosen: Ranking, free: int, limits: ValueLimits) -> Ranking:
    """Returns the `chosen` items and the best others that the limits allow, at most `free` in all.

    `best`: ranks the other items. Each appended item is counted in `limits`.
    """
    filled = list(chosen)
    while len(filled) < free:
        closed = limits.refused.copy()
        closed[[index for index, _ in filled]] = True
        (indices, scores), is_all = best.without(closed).at_least(free - len(filled))
        for index, score in zip(indices.tolist(), scores.tolist(), strict=True):
            if len(filled) < free and not limits.refused[index]:
                limits.count(index)
                filled.append((index, score))
        if is_all:
            break
    return filled


def _scored(
    best: BestFirst, pins: Mapping[int, int], pinnable: Mask
) -> dict[int, tuple[int, float]]:
    """Returns item index and score, boosts included, of the pinned item at each position.

    `pins`: item index by position. `pinnable`: mask `[catalog rows]`.
    """
    if not pins:
        return {}
    only_pins = np.zeros_like(pinnable)
    only_pins[list(pins.values())] = True
    scores = best.scores_of(only_pins, len(pins))
    return {place: (index, scores[index]) for place, index in pins.items()}


def _with_pins(chosen: Ranking, pins: Mapping[int, tuple[int, float]], k: int) -> Ranking:
    """Merges chosen and pinned items into a list of at most `k`, with each pin at its position.

    If there are too few chosen items to fill the positions before a pin, the pin moves up.
    """
    others: Iterator[tuple[int, float]] = iter(chosen)
    places = (pins.get(place) or next(others, None) for place in range(1, k + 1))
    return [each for each in places if each]


def _shortage(best: BestFirst, free: int) -> Shortage:
    if best.num_allowed < free:
        return "no_more_items"
    (passing, _), _ = best.at_least(free)
    return "min_score" if len(passing) < free else "max_per"
