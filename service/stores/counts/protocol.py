"""The CountStore protocol: what every store of numbers of events must do.

tests/service/stores/counts/test_stores.py runs one suite against every implementation.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from service.stores.counts.windows import Period


class CountsUnavailableError(Exception):
    """A failure of the store of counts: it does not answer, or refuses to write."""


class CountKey(NamedTuple):
    """Names events that are counted together: of a tenant, of one type, in a period of time."""

    tenant: str
    event_type: str
    period: Period


class Counts(NamedTuple):
    """Numbers of a key's events: of all items, and of each item that is kept.

    Attributes:
        total: number of all events, also of items that were cut.
        by_item: number of events by item id, of the items that are kept.
    """

    total: int
    by_item: Mapping[str, int]


class CountStore(Protocol):
    """Protocol of a store of numbers of events by item.

    The counts of a key have at most a fixed number of items, M. They are a sketch of the kind Space
    Saving (Metwally et al. 2005). Each item has a score, which its events raise. When there are
    more than M items, those with the lowest scores are cut, of equal ones the first by id. The
    highest score that was ever cut is the floor. An item that is not there enters with the floor
    as its score, which is at least the number of its events so far, so new items compete with old
    ones. Its number of events is read as its score less that at its entry.

    So no number is too high, those of items that were never cut are exact, and of a key's N events
    no number lacks more than the floor, which is at most N / (M + 1). An item with more events than
    that is there. N itself is exact. A key is dropped when its period expires.
    """

    async def add(self, key: CountKey, counts: Mapping[str, int]) -> None:
        """Adds numbers of events, by item id, to the counts of a key.

        Without any numbers it writes nothing that is read, but fails as if there were some.

        Raises:
            CountsUnavailableError: some of the numbers may not be added.
        """
        ...

    async def read(self, key: CountKey) -> Counts:
        """Returns the counts of a key; empty ones if nothing was counted.

        Raises:
            CountsUnavailableError: the store does not answer.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
