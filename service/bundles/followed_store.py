"""Follows a store of item records that other processes may change, and applies the changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic

from service.errors import ItemStoreUnavailableError
from service.stores.items.protocol import ItemStore, R, change

logger = logging.getLogger(__name__)

_AT_ONCE = 1_000
"""Maximum number of changed records that are passed on between two turns of the event loop."""


class FollowedStore(Generic[R]):
    """A copy of the records of a store, which `refresh` brings up to date.

    Attributes:
        store: the followed store; callers write changes to it.
        items: the records at the last `refresh`, by item id.
    """

    def __init__(
        self,
        store: ItemStore[R],
        apply: Callable[[Mapping[str, R | None]], Awaitable[None]],
        poll_seconds: float,
        name: str,
    ) -> None:
        """Makes an empty copy, without reading the store.

        Args:
            store: the store to follow.
            apply: function that is called with the records that have changed, by item id; None
                stands for a record that was removed. If it raises an error, it is called with the
                same changes again.
            poll_seconds: interval at which `follow` reads changes.
            name: name of the records in log lines, such as `added items`.
        """
        self.store = store
        self.items: dict[str, R] = {}
        self._apply = apply
        self._poll_seconds = poll_seconds
        self._name = name
        self._version = ""
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Reads the changes in the store since the last call, and passes them on.

        If there are changes, calls `apply` with them, at most `_AT_ONCE` in a call, and updates
        `items`.

        Raises:
            ItemStoreUnavailableError: the store does not answer.
        """
        async with self._refreshing:
            changes = await self.store.changes(self._version)
            changed = self._compared(changes.items) if changes.is_complete else changes.items
            records = list(changed.items())
            for begin in range(0, len(records), _AT_ONCE):
                part = dict(records[begin : begin + _AT_ONCE])
                await self._apply(part)
                change(self.items, part)
                await asyncio.sleep(0)  # other requests come between two parts
            self._version = changes.version

    def _compared(self, records: Mapping[str, R | None]) -> Mapping[str, R | None]:
        """Returns the differences of `records`, all records of the store, from `items`."""
        differ = {key: each for key, each in records.items() if self.items.get(key) != each}
        return {**dict.fromkeys(self.items.keys() - records.keys()), **differ}

    async def follow(self) -> None:
        """Passes on the changes in the store every `poll_seconds` until cancelled (`refresh`).

        An outage of the store is logged once.
        """
        is_lost = False
        while True:
            try:
                await self.refresh()
                is_lost = False
            except ItemStoreUnavailableError as error:
                if not is_lost:
                    logger.warning(
                        "changes of the %s cannot be read, those read before stay: %s",
                        self._name,
                        error.in_full,
                    )
                is_lost = True
            except Exception:
                logger.exception("changes of the %s cannot be applied", self._name)
            await asyncio.sleep(self._poll_seconds)
