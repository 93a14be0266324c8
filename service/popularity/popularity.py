"""`Popularity`: the parts that count events and rank by them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Lock
from typing import NamedTuple

from service.background import in_background
from service.popularity.counting import EventCounts
from service.popularity.growth import Order
from service.popularity.ranked_items import RankedItems
from service.popularity.reading import WindowCounts, WindowQuery, WindowReader
from service.ranking.catalog import Catalog
from service.stores.counts.protocol import CountStore
from service.stores.counts.windows import WINDOWS, WindowName

_MAX_RANKED = 64
_SECONDS_TO_RETRY = 1.0


class Counted(NamedTuple):
    """The counts of a window.

    Attributes:
        query: what was counted.
        counts: events by item.
        is_stale: whether the counts are old or missing, since the store did not answer.
    """

    query: WindowQuery
    counts: WindowCounts
    is_stale: bool


class Ranked(NamedTuple):
    """The items of a catalog in the order of the counts of a window.

    Attributes:
        counted: the counts.
        items: the items.
    """

    counted: Counted
    items: RankedItems


class Popularity:
    """Counts new events, and ranks items by the counts of windows.

    Attributes:
        counts: counts new events.
    """

    def __init__(
        self, store: CountStore, event_types: Sequence[str], is_known: Callable[[str], bool]
    ) -> None:
        """Joins the parts.

        Args:
            store: the store of the counts.
            event_types: the types that count if a request names none.
            is_known: returns whether a catalog has an item id.
        """
        self.counts = EventCounts(store, is_known)
        self._reader = WindowReader(store)
        self._event_types = tuple(event_types)
        self._ranked: dict[tuple[WindowQuery, Order], Ranked] = {}
        self._changing = Lock()  # heavy requests work in threads

    @property
    def is_failing(self) -> bool:
        """Whether the counts could not be stored or read the last time."""
        return self.counts.is_failing or self._reader.is_failing

    @property
    def waiting(self) -> int:
        """Number of requests that wait for the counts of a window."""
        return self._reader.waiting.number

    async def read(self, tenant: str, window: WindowName, event_type: str | None) -> Counted:
        """Reads the counts of a tenant's events in a window.

        `event_type`: the type that counts; None: those of histories.
        """
        types = self._event_types if event_type is None else (event_type,)
        query = WindowQuery(tenant, types, WINDOWS[window])
        return Counted(query, *await self._reader.read(query))

    def ready(self, counted: Counted, catalog: Catalog, order: Order) -> Ranked | None:
        """Returns the ranking of a catalog by counts that `read` has returned.

        Returns None if counts or catalog have changed since `rank` made it.
        """
        newest = self.newest(counted.query, catalog, order)
        is_ready = newest is not None and newest.counted.counts is counted.counts
        return newest._replace(counted=counted) if newest and is_ready else None

    def newest(self, query: WindowQuery, catalog: Catalog, order: Order) -> Ranked | None:
        """Returns the ranking of a catalog that `rank` made last, perhaps by counts of before."""
        ranked = self._ranked.get((query, order))
        return ranked if ranked is not None and ranked.items.catalog is catalog else None

    def rank(self, counted: Counted, catalog: Catalog, order: Order) -> Ranked:
        """Ranks the items of a catalog by counts that `read` has returned, unless it is `ready`.

        Takes milliseconds for tens of thousands of items, so call it in a thread.
        """
        if ready := self.ready(counted, catalog, order):
            return ready
        ranked = Ranked(counted, RankedItems.of(catalog, counted.counts, order))
        key = counted.query, order
        with self._changing:
            self._ranked.pop(key, None)
            self._ranked[key] = ranked
            if len(self._ranked) > _MAX_RANKED:
                del self._ranked[next(iter(self._ranked))]
        return ranked

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Context manager: counts new events in the background, and the last ones at its end.

        Counts that cannot be stored or read are tried again each second.
        """
        try:
            async with in_background(self.counts.follow()), in_background(self._retry_reading()):
                yield
        finally:
            await self._reader.close()
            await self.counts.flush()

    async def _retry_reading(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_TO_RETRY)
            self._reader.retry()
