"""Limits by value: at most a given number of items of a list have the same attribute value."""

from collections.abc import Mapping

import numpy as np

from service.ranking.catalog import Catalog


class ValueLimits:
    """Counts the items of a list by attribute value, and marks the items that no longer fit.

    Attributes:
        refused: mask `[catalog rows]` of the items with a value whose limit is reached.
    """

    def __init__(self, catalog: Catalog, max_per: Mapping[str, int]) -> None:
        """Makes a counter for an empty list.

        `max_per`: maximum number of items with the same value, by attribute name.
        """
        self.refused = np.zeros(len(catalog) + 1, dtype=np.bool_)
        self._catalog = catalog
        self._max_per = max_per
        self._count: dict[tuple[str, str], int] = {}

    def count(self, item_index: int) -> None:
        """Adds an item of the list to the counts of its attribute values; may extend `refused`."""
        attributes = self._catalog.item(item_index).attributes
        for name, limit in self._max_per.items():
            for value in dict.fromkeys(attributes.get(name, ())):
                number = self._count.get((name, value), 0) + 1
                self._count[name, value] = number
                if number == limit:
                    self._refuse(name, value)

    def _refuse(self, name: str, value: str) -> None:
        for indices in self._catalog.filters.items_with(name, [value]):
            self.refused[indices] = True
