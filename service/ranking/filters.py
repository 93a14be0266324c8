"""Filters on item attributes: turns a query's attribute values into a mask of allowed items."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.errors import InvalidRequestError
from service.ranking.types import Mask

AttributeFilter = Mapping[str, Sequence[str]]
"""Attribute values by attribute name, for example `{"genres": ["Comedy", "Drama"]}`."""


class AttributeIndex:
    """An inverted index: finds the items that have a value of an attribute."""

    def __init__(
        self, items: Iterable[Item], first_index: int = 1, indices: Iterable[int] | None = None
    ) -> None:
        """Indexes `items` by their attribute values.

        Args:
            items: the items.
            first_index: item index of the first item; the next items have the next indices.
            indices: item index of each item; None: they are consecutive, from `first_index`.
        """
        numbered = zip(count(first_index) if indices is None else indices, items, strict=False)
        found_in: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, item in numbered:
            for name, values in item.attributes.items():
                for value in values:
                    found_in[name][value].append(index)
        self._indices = {
            name: {value: np.array(found) for value, found in by_value.items()}
            for name, by_value in found_in.items()
        }

    @property
    def names(self) -> set[str]:
        """Names of all attributes that have a value in at least one item."""
        return set(self._indices)

    def items_with(self, name: str, values: Iterable[str]) -> list[NDArray[np.int64]]:
        """Finds the items that have `values` of the attribute `name`.

        Returns an array of item indices for each value, in the order of `values`. A value that no
        item has is skipped.
        """
        by_value = self._indices.get(name, {})
        return [by_value[value] for value in values if value in by_value]


class Filters:
    """Turns attribute filters into masks over the bundle's items and the added items."""

    def __init__(
        self,
        indexes: Sequence[AttributeIndex],
        mask_length: int,
        edited: AttributeIndex | None = None,
        is_edited: Mask | None = None,
        hidden: Collection[int] = (),
    ) -> None:
        """Combines indexes over different items.

        Args:
            indexes: one index for the bundle's items, one for the added items.
            mask_length: number of all items, plus 1 for padding.
            edited: index of the items whose attributes were edited; None: there are none.
            is_edited: mask `[mask_length]` of the edited items, which `indexes` hold with their old
                attributes; None: there are none.
            hidden: indices of the items that no filter allows.
        """
        self._indexes = indexes
        self._edited = edited
        self._is_edited = is_edited
        self._hidden = np.array(list(hidden), dtype=np.int64)
        self._names = set().union(
            *(each.names for each in (*indexes, *([edited] if edited else ())))
        )
        self._mask_length = mask_length

    def mask(self, allow: AttributeFilter, deny: AttributeFilter) -> Mask | None:
        """Returns the mask `[catalog rows]` of the allowed items; None if there are no filters.

        For each attribute in `allow`, an allowed item has at least one of the listed values. It has
        none of the values in `deny`. Hidden items are not allowed.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        if not allow and not deny:
            return None
        self.check(allow, deny)
        mask = np.ones(self._mask_length, dtype=np.bool_)
        for name, values in allow.items():
            mask &= self._with_any(name, values)
        for name, values in deny.items():
            mask &= ~self._with_any(name, values)
        mask[self._hidden] = False
        return mask

    def num_steps(self, allow: AttributeFilter, deny: AttributeFilter) -> int:
        """Returns the maximum number of mask entries that `mask(allow, deny)` writes, its cost.

        Counts edited items by their old attributes too, so that it looks at no single item.
        """
        attributes = [*allow.items(), *deny.items()]
        indexes = [*self._indexes, *([self._edited] if self._edited else ())]
        found = (
            len(each)
            for name, values in attributes
            for index in indexes
            for each in index.items_with(name, set(values))
        )
        return len(attributes) * self._mask_length + sum(found)

    def check(self, allow: AttributeFilter, deny: AttributeFilter) -> None:
        """Checks that every attribute of the filters is known.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        self.check_names("allow", allow)
        self.check_names("deny", deny)

    def check_names(self, field: str, names: Iterable[str]) -> None:
        """Checks that every attribute in `names` is known, that is, that at least one item has it.

        `field`: the field of the request that holds `names`, for the error message.

        Raises:
            InvalidRequestError: there is an attribute that no item has.
        """
        for name in names:
            if name not in self._names:
                known = ", ".join(sorted(self._names)) or "none"
                raise InvalidRequestError(
                    f"{field}.{name}", f"no item has this attribute; there are: {known}"
                )

    def items_with(self, name: str, values: Iterable[str]) -> Iterator[NDArray[np.int64]]:
        """Yields the item indices of the items that have one of `values` of the attribute `name`.

        Yields several arrays. An item is in several of them if it has several of the values.
        """
        distinct = set(values)
        for index in self._indexes:
            found = index.items_with(name, distinct)
            yield from found if self._is_edited is None else map(self._unedited, found)
        if self._edited is not None:
            yield from self._edited.items_with(name, distinct)

    def _unedited(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return indices if self._is_edited is None else indices[~self._is_edited[indices]]

    def _with_any(self, name: str, values: Sequence[str]) -> Mask:
        mask = np.zeros(self._mask_length, dtype=np.bool_)
        for found in self.items_with(name, values):
            mask[found] = True
        return mask
