"""Order-aware item kNN: recommends items that occur near those of the history in sessions.

Unlike kNN of sessions it compares no histories: it counts pairs of items once, weighted by their
distance, and adds up the counts of a history's items. So it is a sparse matrix of items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.evaluation.baselines.sessions import Sessions, distinct_latest
from training.evaluation.baselines.tuning import tuned

OPTIONS: Mapping[str, Sequence[float]] = {
    "reach": (2.0, 4.0, 8.0, 16.0),
    "backward": (0.0, 0.3, 0.6, 1.0),
    "decay": (0.2, 0.4, 0.6, 0.8, 0.9),
    "rarity_of_read": (0.0, 0.25, 0.5, 0.75, 1.0),
    "rarity_of_scored": (0.0, 0.25, 0.5),
    "shrinkage": (0.0, 5.0, 20.0),
}
HISTORY_LENGTH = 50  # latest distinct items that are read; `decay` weighs them
REACHES = 4  # pairs farther apart than so many times `reach` are not counted: they weigh below 2 %
MERGED_AT = 8_000_000  # pairs that are held before equal ones are added up
MAX_PAIRS = 20_000_000  # of a large dataset only the nearest pairs are counted, in some GiB


@dataclass(frozen=True)
class ItemSettings:
    """Settings of order-aware item kNN, whose formula is in `ItemNeighbours`.

    Attributes:
        reach: distance of two items in a session over which the weight of the pair falls to
            `1 / e`.
        backward: factor for a pair whose scored item comes before the one that is read.
        decay: factor between the weights of an item of the history and the one before it.
        rarity_of_read: power of the sessions with the read item that pairs are divided by.
        rarity_of_scored: the same for the scored item.
        shrinkage: number that is added to the sessions with an item.
    """

    reach: float = 4.0
    backward: float = 0.3
    decay: float = 0.8
    rarity_of_read: float = 1.0
    rarity_of_scored: float = 0.0
    shrinkage: float = 5.0


START = ItemSettings()
"""The settings that tuning starts from."""


class ItemPairs:
    """Weighted counts of the pairs of items that are near each other in training sessions.

    Pairs of direct neighbours are always counted, those farther apart as far as `MAX_PAIRS` allows.
    Two items that occur near each other are two pairs: each of them can be read or scored.

    Args:
        index: the sessions.
        reach: distance over which the weight of a pair falls to `1 / e`.

    Attributes:
        read: `[pairs]`, the item of the history, ascending.
        scored: `[pairs]`, the other item, ascending among the pairs of a read item.
        ahead: `[pairs]`, sum of the weights where the scored item comes after the read one.
        behind: `[pairs]`, the same where it comes before.
    """

    def __init__(self, index: Sessions, reach: float) -> None:
        self.sessions_with, self.popularity = index.sessions_with, index.popularity
        num_rows = len(index.sessions_with)
        keys, weights = _pairs_of_sessions(index, reach)
        first, second = np.divmod(keys, num_rows)
        nothing = np.zeros(len(weights))
        both, sums = _summed(
            np.concatenate([keys, second * num_rows + first]),
            np.concatenate([weights, nothing]),
            np.concatenate([nothing, weights]),
        )
        self.ahead, self.behind = (each.astype(np.float32) for each in sums)
        self.read, self.scored = (each.astype(np.int32) for each in np.divmod(both, num_rows))

    @property
    def begins(self) -> NDArray[np.int64]:
        """Number of the first pair of each read item, and of all pairs, `[catalog rows + 1]`."""
        return np.searchsorted(self.read, np.arange(len(self.sessions_with) + 1))

    def weights(self, settings: ItemSettings) -> NDArray[np.float64]:
        """Returns the weights of the pairs by `settings`, `[pairs]`."""
        sizes = np.maximum(self.sessions_with + settings.shrinkage, 1)
        weights = self.ahead.astype(np.float64) + settings.backward * self.behind
        weights /= (sizes**settings.rarity_of_read)[self.read]
        weights /= (sizes**settings.rarity_of_scored)[self.scored]
        return weights


class ItemNeighbours:
    """Scores an item by the weighted counts of its pairs with the latest items of a history.

    `score(i) = sum_p decay ** (p - 1) * pairs(a_p, i) / (n(a_p) ** rarity_of_read
    * n(i) ** rarity_of_scored)`, where `a_p` is the `p`-th latest distinct item of the history,
    and `n(a)` the number of sessions with `a`, plus `shrinkage`. `pairs(a, i)` sums
    `exp(-(distance - 1) / reach)` over the sessions with both items, times `backward` where `i`
    comes before `a`.
    """

    def __init__(
        self, dataset: Dataset, settings: ItemSettings, pairs: ItemPairs | None = None
    ) -> None:
        """Fits the baseline; `pairs` may have been counted before, with the reach of `settings`."""
        pairs = pairs or ItemPairs(Sessions(dataset), settings.reach)
        self.dataset, self.settings = dataset, settings
        self.fallback = pairs.popularity
        self.scored, self.weights = pairs.scored, pairs.weights(settings)
        self.begins = pairs.begins

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns scores of all items for each dataset row in `rows`, `[rows, catalog rows]`."""
        return np.stack([self._score(int(row)) for row in rows])

    def _score(self, row: int) -> NDArray[np.float32]:
        scores = self.fallback.copy()
        latest = distinct_latest(self.dataset.history(row), HISTORY_LENGTH)
        for place, item in enumerate(latest):
            pairs = slice(self.begins[item], self.begins[item + 1])
            np.add.at(scores, self.scored[pairs], self.settings.decay**place * self.weights[pairs])
        return scores.astype(np.float32)


def tuned_item_neighbours(dataset: Dataset, fitted_on: Dataset | None = None) -> ItemNeighbours:
    """Returns order-aware item kNN with the settings that are best on validation.

    Args:
        dataset: dataset whose validation examples choose the settings.
        fitted_on: view whose training rows are the sessions, for a refit; None for `dataset`.
    """
    index = Sessions(dataset)

    @lru_cache(maxsize=len(OPTIONS["reach"]))
    def pairs(reach: float) -> ItemPairs:
        return ItemPairs(index, reach)

    def neighbours(settings: ItemSettings) -> ItemNeighbours:
        return ItemNeighbours(dataset, settings, pairs(settings.reach))

    settings = tuned(START, OPTIONS, neighbours, dataset, "tuning order-aware item kNN")
    return ItemNeighbours(fitted_on or dataset, settings)


def _pairs_of_sessions(
    index: Sessions, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts pairs of an item and one after it; returns their keys, ascending, and their weights.

    The key of a pair is `first * catalog rows + second`.
    """
    num_rows = len(index.sessions_with)
    farthest = min(ceil(REACHES * reach), max(1, MAX_PAIRS // max(1, len(index.items))))
    keys, weights = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for distance in range(1, farthest + 1):
        near = index.sessions[distance:] == index.sessions[:-distance]
        keys.append(index.items[:-distance][near] * num_rows + index.items[distance:][near])
        weights.append(np.full(len(keys[-1]), np.exp(-(distance - 1) / reach)))
        if sum(map(len, keys[1:])) > MERGED_AT:
            merged, (sums,) = _summed(np.concatenate(keys), np.concatenate(weights))
            keys, weights = [merged], [sums]
    merged, (sums,) = _summed(np.concatenate(keys), np.concatenate(weights))
    return merged, sums


def _summed(
    keys: NDArray[np.int64], *weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Returns the distinct keys, ascending, and for each of `weights` its sums, `[keys]`."""
    distinct, places = np.unique(keys, return_inverse=True)
    sums = [np.bincount(places, weights=each, minlength=len(distinct)) for each in weights]
    return distinct, [each.astype(np.float64, copy=False) for each in sums]
