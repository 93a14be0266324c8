"""Filters on item attributes: turns a query's attribute values into a mask of allowed items."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.errors import InvalidRequestError
from service.ranking.types import Mask

AttributeFilter = Mapping[str, Sequence[str]]
"""Attribute values by attribute name, for example `{"genres": ["Comedy", "Drama"]}`."""

Indices = Mapping[str, Mapping[str, NDArray[np.integer]]]
"""Item indices by attribute name and value."""

_NONE = np.array([], dtype=np.int64)


class AttributeIndex:
    """An inverted index: finds the items that have a value of an attribute. Immutable."""

    def __init__(self, indices: Indices) -> None:
        self._indices = indices

    @classmethod
    def of_items(cls, numbered: Iterable[tuple[int, Item]]) -> "AttributeIndex":
        """Indexes items, each with its item index, by their attribute values."""
        return cls(_arrays(numbered))

    @property
    def names(self) -> set[str]:
        """Names of all attributes that have a value in at least one item."""
        return set(self._indices)

    def items_with(self, name: str, values: Iterable[str]) -> list[NDArray[np.integer]]:
        """Finds the items that have `values` of the attribute `name`.

        Returns an array of item indices for each value, in the order of `values`. A value that no
        item has is skipped.
        """
        by_value = self._indices.get(name, {})
        return [by_value[value] for value in values if value in by_value]

    def with_changes(
        self, before: Mapping[int, Item], after: Mapping[int, Item], rows: int
    ) -> "AttributeIndex":
        """Returns an index in which the items `before` are replaced by the items `after`.

        The work depends on the attribute values of these items, not on the whole catalog.

        Args:
            before: the items that change or go, as they are in this index, by item index.
            after: the items that change or come, as they are from now on, by item index.
            rows: number of catalog rows, at least the largest item index plus 1.
        """
        changed = {each for each in {*before, *after} if not _are_alike(each, before, after)}
        if not changed:
            return self
        is_changed = np.zeros(rows, dtype=np.bool_)
        is_changed[list(changed)] = True
        came = _arrays((index, after[index]) for index in changed if index in after)
        went = _arrays((index, before[index]) for index in changed if index in before)
        indices = dict(self._indices)
        for name in {*came, *went}:
            values = {*came.get(name, ()), *went.get(name, ())}
            known = dict(self._indices.get(name, {}))
            for value in values:
                old, new = known.pop(value, _NONE), came.get(name, {}).get(value, _NONE)
                found = np.concatenate([old[~is_changed[old]], new])
                if len(found):
                    known[value] = found
            indices[name] = known
        return AttributeIndex({name: each for name, each in indices.items() if each})


def _arrays(numbered: Iterable[tuple[int, Item]]) -> Indices:
    """Returns the item indices of numbered items, by attribute name and value."""
    found_in: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, item in numbered:
        for name, values in item.attributes.items():
            for value in values:
                found_in[name][value].append(index)
    return {
        name: {value: np.array(found) for value, found in by_value.items()}
        for name, by_value in found_in.items()
    }


def _are_alike(index: int, before: Mapping[int, Item], after: Mapping[int, Item]) -> bool:
    """Returns whether the item at `index` has the same attributes before and after."""
    old, new = before.get(index), after.get(index)
    return (old.attributes if old else {}) == (new.attributes if new else {})


class Filters:
    """Turns attribute filters into masks over the bundle's items and the added items."""

    def __init__(
        self,
        index: AttributeIndex,
        mask_length: int,
        hidden: Mask | None = None,
        names: Collection[str] = (),
    ) -> None:
        """Stores what masks are made from.

        Args:
            index: index of all items.
            mask_length: number of all items, plus 1 for padding.
            hidden: mask `[mask_length]` of the items that no filter allows; None: there are none.
            names: attribute names that are known even if no item has a value of them.
        """
        self._index = index
        self._hidden = hidden
        self._names = index.names.union(names)
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
        if self._hidden is not None:
            mask &= ~self._hidden
        return mask

    def num_steps(self, allow: AttributeFilter, deny: AttributeFilter) -> int:
        """Returns the number of mask entries that `mask(allow, deny)` writes, its cost."""
        attributes = [*allow.items(), *deny.items()]
        found = (len(each) for name, values in attributes for each in self.items_with(name, values))
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

    def items_with(self, name: str, values: Iterable[str]) -> list[NDArray[np.integer]]:
        """Returns the item indices of the items that have one of `values` of the attribute `name`.

        Returns several arrays. An item is in several of them if it has several of the values.
        """
        return self._index.items_with(name, set(values))

    def _with_any(self, name: str, values: Sequence[str]) -> Mask:
        mask = np.zeros(self._mask_length, dtype=np.bool_)
        for found in self.items_with(name, values):
            mask[found] = True
        return mask
