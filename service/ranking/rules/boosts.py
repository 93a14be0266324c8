"""Boosts: numbers that are added to the scores of items."""

import numpy as np
from numpy.typing import NDArray

from service.ranking.catalog import Catalog
from service.ranking.rules.types import Rules

Boosts = NDArray[np.float64]
"""Number that is added to each item's score, `[catalog rows]` by item index."""


def boosts_of(catalog: Catalog, rules: Rules) -> Boosts | None:
    """Returns the sum of each item's boosts, `[catalog rows]`; None if the rules have no boosts.

    Ids and values that no item has are skipped.
    """
    if not rules.item_boosts and not rules.attribute_boosts:
        return None
    boosts = np.zeros(len(catalog) + 1)
    for item_id, boost in rules.item_boosts.items():
        boosts[catalog.known_indices([item_id])] += boost
    for name, boost_by_value in rules.attribute_boosts.items():
        for value, boost in boost_by_value.items():
            # An item occurs twice in an array only if it has the value twice.
            for indices in catalog.filters.items_with(name, [value]):
                boosts[np.unique(indices)] += boost
    return boosts
