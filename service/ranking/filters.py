"""Filters on item attributes: an index of items by value, combined to a mask for each request."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.errors import InvalidRequestError
from service.ranking.types import Mask

AttributeFilter = Mapping[str, Sequence[str]]
"""Attribute values by attribute name."""

_NO_ITEMS = np.zeros(0, dtype=np.int64)


class AttributeIndex:
    """Item indices by attribute name and value."""

    def __init__(self, items: Sequence[Item], first_index: int) -> None:
        """`first_index` is the item index of the first of `items`."""
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
        """The names of all attributes that occur."""
        return set(self._indices)

    def items_with(self, name: str, value: str) -> NDArray[np.int64]:
        """The indices of the items that have `value`, maybe none."""
        return self._indices.get(name, {}).get(value, _NO_ITEMS)


class Filters:
    """Turns attribute filters into masks over the bundle's and the added items."""

    def __init__(self, indexes: Sequence[AttributeIndex], mask_length: int) -> None:
        """`mask_length` is the number of all items + 1."""
        self._indexes = indexes
        self._names = set().union(*(each.names for each in indexes))
        self._mask_length = mask_length

    def mask(self, allow: AttributeFilter, deny: AttributeFilter) -> Mask | None:
        """Items with any value of each allowed attribute and with no denied value.

        None stands for all items.

        Raises:
            InvalidRequestError: an attribute that no item has; names it.
        """
        if not allow and not deny:
            return None
        self.check(allow, deny)
        mask = np.ones(self._mask_length, dtype=np.bool_)
        for name, values in allow.items():
            mask &= self._with_any(name, values)
        for name, values in deny.items():
            mask &= ~self._with_any(name, values)
        return mask

    def check(self, allow: AttributeFilter, deny: AttributeFilter) -> None:
        """Raises InvalidRequestError for an attribute that no item has; names it."""
        for field, attribute_filter in (("allow", allow), ("deny", deny)):
            for name in attribute_filter:
                if name not in self._names:
                    known = ", ".join(sorted(self._names)) or "none"
                    raise InvalidRequestError(
                        f"{field}.{name}", f"no item has this attribute; there are: {known}"
                    )

    def _with_any(self, name: str, values: Sequence[str]) -> Mask:
        mask = np.zeros(self._mask_length, dtype=np.bool_)
        for index in self._indexes:
            for value in set(values):
                mask[index.items_with(name, value)] = True
        return mask
