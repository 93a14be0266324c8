"""Filters on item attributes: which items have which value, found once, combined per request."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.errors import InvalidRequestError
from service.ranking.types import Mask

AttributeFilter = Mapping[str, Sequence[str]]
"""Values by attribute name."""

_NOBODY = np.zeros(0, dtype=np.int64)


class AttributeIndex:
    """The indices of the items that have a value of an attribute."""

    def __init__(self, items: Sequence[Item], first_index: int) -> None:
        """`first_index` is the item_index of the first of `items`."""
        indices: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, item in enumerate(items, start=first_index):
            for name, values in item.attributes.items():
                for value in values:
                    indices[name][value].append(index)
        self._indices = {
            name: {value: np.array(found) for value, found in by_value.items()}
            for name, by_value in indices.items()
        }

    @property
    def names(self) -> set[str]:
        """The attributes that any item has."""
        return set(self._indices)

    def having(self, name: str, value: str) -> NDArray[np.int64]:
        """The items that have `value`; none if nothing has."""
        return self._indices.get(name, {}).get(value, _NOBODY)


class Filters:
    """Turns wishes into masks over a catalog and what was added to it."""

    def __init__(self, indexes: Sequence[AttributeIndex], num_places: int) -> None:
        self._indexes = indexes
        self._names = set().union(*(each.names for each in indexes))
        self._num_places = num_places

    def mask(self, allow: AttributeFilter, deny: AttributeFilter) -> Mask | None:
        """Items with any of the values of each allowed attribute and none that is denied.

        None stands for all items.

        Raises:
            InvalidRequestError: an attribute that no item has; names it.
        """
        if not allow and not deny:
            return None
        self.check(allow, deny)
        mask = np.ones(self._num_places, dtype=np.bool_)
        for name, values in allow.items():
            mask &= self._having_any(name, values)
        for name, values in deny.items():
            mask &= ~self._having_any(name, values)
        return mask

    def check(self, allow: AttributeFilter, deny: AttributeFilter) -> None:
        """Raises InvalidRequestError for an attribute that no item has; names it."""
        for field, wish in (("allow", allow), ("deny", deny)):
            for name in wish:
                if name not in self._names:
                    known = ", ".join(sorted(self._names)) or "none"
                    raise InvalidRequestError(
                        f"{field}.{name}", f"no item has this attribute; there are: {known}"
                    )

    def _having_any(self, name: str, values: Sequence[str]) -> Mask:
        mask = np.zeros(self._num_places, dtype=np.bool_)
        for index in self._indexes:
            for value in set(values):
                mask[index.having(name, value)] = True
        return mask
