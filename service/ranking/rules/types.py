"""Types of the rules of a query, of their result, and of the scorers that rank for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.ranking.types import Mask

Shortage = Literal["no_more_items", "min_score", "max_per"]
"""Why a list has fewer than `k` items.

- `no_more_items`: candidates, filters, exclusions and seen items leave no more.
- `min_score`: the other items score less than the lowest allowed score.
- `max_per`: each of the other items has a value whose limit is reached.
"""

Scored = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Item indices and their scores, best first, both `[items]`."""

Scorer = Callable[[Mask, int], Scored]
"""Returns the best items that a mask allows, at most as many as the second argument says."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a query, in item ids and attribute values.

    Attributes:
        candidates: ids of the only items that may be recommended; None: the whole catalog.
        item_boosts: numbers that are added to the scores of items, by item id.
        attribute_boosts: numbers that are added to the scores of items with a value, by attribute
            name and value. An item gets the sum of all its boosts.
        pins: item ids by position in the list; the first position is 1.
        max_per: maximum number of items with the same value, by attribute name.
        diversity: weight of the similarity to the items chosen before, in [0, 1].
        min_score: lowest score, boosts included, of an item that is not pinned; None: any.
    """

    candidates: Sequence[str] | None = None
    item_boosts: Mapping[str, float] = field(default_factory=dict)
    attribute_boosts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pins: Mapping[int, str] = field(default_factory=dict)
    max_per: Mapping[str, int] = field(default_factory=dict)
    diversity: float = 0.0
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The items that the rules select.

    Attributes:
        ranking: item indices and scores, boosts included, in the order of the list.
        shortage: why there are fewer than `k` items; None: there are `k`.
        left_out_pins: ids of pinned items that are not recommended.
    """

    ranking: Sequence[tuple[int, float]]
    shortage: Shortage | None = None
    left_out_pins: Sequence[str] = ()
