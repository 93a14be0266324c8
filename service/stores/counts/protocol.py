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


class CountStore(Protocol):
    """Protocol of a store of numbers of events by item.

    The counts of a key have at most a fixed number of items. When there are more, half of that
    number are kept: those with the most events. A key is dropped when its period expires.
    """

    async def add(self, key: CountKey, counts: Mapping[str, int]) -> None:
        """Adds numbers of events, by item id, to the counts of a key.

        Raises:
            CountsUnavailableError: some of the numbers may not be added.
        """
        ...

    async def read(self, key: CountKey) -> Mapping[str, int]:
        """Returns the number of events by item id; empty if nothing was counted.

        Raises:
            CountsUnavailableError: the store does not answer.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
