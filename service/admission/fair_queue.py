"""A fair queue of several callers, bounded in units of work.

Sources: start-time fair queueing (Goyal, Vin and Cheng, 1996) for the order of entries; dropping
from the longest queue (Suter et al., 1998) for the bound.
"""

from collections import Counter, deque
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class FairQueue(Generic[Entry]):
    """A queue of entries, each with the key of its caller and its units of work.

    `pop` takes the oldest entry of the key that has been served the fewest units. A key gets no
    credit for a time in which it had no entries.

    Attributes:
        units: total units of the entries in the queue.
    """

    def __init__(self, max_units: int) -> None:
        self.units = 0
        self._max_units = max_units
        self._entries: dict[str, deque[tuple[int, Entry]]] = {}
        self._units_of: Counter[str] = Counter()
        self._turn = 0  # start tag of the entry that was taken last
        self._tags: dict[str, int] = {}  # start tag of the next entry of each key

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def push(self, key: str, units: int, entry: Entry) -> list[Entry]:
        """Adds an entry; returns the entries dropped to make space, which can include `entry`.

        While the queue exceeds its maximum of units, it drops the newest entry of the key with the
        most queued units. The last remaining entry is never dropped.
        """
        if key not in self._entries:
            self._entries[key] = deque()
            self._tags[key] = max(self._turn, self._tags.get(key, 0))
        self._entries[key].append((units, entry))
        self._count(key, units)
        dropped = []
        while self.units > self._max_units and len(self) > 1:
            longest = max(self._entries, key=lambda each: (self._units_of[each], each == key))
            dropped.append(self._take(longest, newest=True)[1])
        return dropped

    def pop(self) -> Entry | None:
        """Removes and returns the next entry; returns None if the queue is empty."""
        if not self._entries:
            self._tags.clear()
            self._turn = 0
            return None
        key = min(self._entries, key=self._tags.__getitem__)
        self._turn = self._tags[key]
        # A key without entries keeps its tag only while the tag is not below the last one taken.
        for each in [each for each, tag in self._tags.items() if tag < self._turn]:
            del self._tags[each]
        self._tags[key] += self._entries[key][0][0]
        return self._take(key, newest=False)[1]

    def charge(self, key: str, units: int) -> None:
        """Counts `units` as served to `key`, in addition to those of its entries."""
        self._tags[key] = max(self._turn, self._tags.get(key, 0)) + units

    def units_before(self, key: str, units: int) -> int:
        """Estimates how many units would be served before a new entry of `key` with `units`."""
        until = self._units_of[key] + units
        return sum(min(each, until) for each in self._units_of.values())

    def remove(self, key: str, entry: Entry) -> None:
        """Removes the `entry` of `key`; does nothing if the queue no longer contains it."""
        for units, each in self._entries.get(key, ()):
            if each is entry:
                self._entries[key].remove((units, each))
                self._count(key, -units)
                self._forget_if_empty(key)
                return

    def _take(self, key: str, *, newest: bool) -> tuple[int, Entry]:
        entries = self._entries[key]
        units, entry = entries.pop() if newest else entries.popleft()
        self._count(key, -units)
        self._forget_if_empty(key)
        return units, entry

    def _count(self, key: str, units: int) -> None:
        self.units += units
        self._units_of[key] += units

    def _forget_if_empty(self, key: str) -> None:
        if not self._entries[key]:
            del self._entries[key], self._units_of[key]
