"""`Places`: a sequence with a few changes, without a copy of the rest."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar, overload

V = TypeVar("V")


class Places(Sequence[V]):
    """A sequence whose values are those of another one, but for changes. Immutable."""

    def __init__(
        self,
        base: Sequence[V],
        length: int | None = None,
        changes: Mapping[int, V] = MappingProxyType({}),
    ) -> None:
        """Lays changes over a sequence.

        Args:
            base: the other sequence.
            length: number of values; None: that of `base`.
            changes: values by place; every place after the end of `base` has one.
        """
        self._base = base
        self._length = len(base) if length is None else length
        self._changes = changes

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> V: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[V]: ...
    def __getitem__(self, place: int | slice) -> V | Sequence[V]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self._length))]
        place = place + self._length if place < 0 else place
        if not 0 <= place < self._length:
            raise IndexError(f"place {place} of {self._length}")
        if place in self._changes:
            return self._changes[place]
        return self._base[place]

    def with_changes(self, length: int, changes: Mapping[int, V]) -> "Places[V]":
        """Returns a sequence of another length, with changes by place over those there are."""
        both = {**self._changes, **changes}
        kept = {place: value for place, value in both.items() if place < length}
        return Places(self._base, length, kept)


def with_places(values: Sequence[V], length: int, changes: Mapping[int, V]) -> Sequence[V]:
    """Returns `values` of the given length with changes, by item index, which is from 1.

    The changes must have a value for each place after the end of `values`. A list is copied, since
    it is read faster than `Places`.
    """
    if isinstance(values, Places):
        return values.with_changes(length, {index - 1: each for index, each in changes.items()})
    copied = list(values)
    del copied[length:]
    for index in sorted(changes):
        copied[index - 1 : index] = [changes[index]]
    return copied
