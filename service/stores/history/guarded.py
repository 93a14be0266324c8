"""A store that may be lost, made into one that always answers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.circuit_breaker import CircuitBreaker
from service.errors import HistoryUnavailableError
from service.stores.history.protocol import Event, HistoryStore


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """A history as far as it is known; `degraded` if the store did not answer."""

    history: Sequence[str]
    degraded: bool = False


_FAILURES_TO_PAUSE = 5


class GuardedHistory:
    """The history store as the routes see it."""

    def __init__(
        self,
        store: HistoryStore,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._breaker = CircuitBreaker(
            "the history store",
            HistoryUnavailableError,
            patience=_FAILURES_TO_PAUSE,
            pause_seconds=pause_seconds,
            clock=clock,
        )

    @property
    def is_lost(self) -> bool:
        """Whether the store is left alone."""
        return self._breaker.is_open

    async def append(self, session_id: str, event: Event) -> StoredHistory:
        """Stores `event`; without the store, the event alone is the history."""
        try:
            return StoredHistory(
                await self._breaker.ask(lambda: self._store.append(session_id, event))
            )
        except HistoryUnavailableError:
            return StoredHistory([event.item_id], degraded=True)

    async def read(self, session_id: str) -> StoredHistory:
        """Reads a history; without the store, it is empty."""
        try:
            return StoredHistory(await self._breaker.ask(lambda: self._store.read(session_id)))
        except HistoryUnavailableError:
            return StoredHistory([], degraded=True)

    async def forget(self, session_id: str) -> None:
        """Removes a session.

        Raises:
            HistoryUnavailableError: it may still be there; nothing else would be the truth.
        """
        await self._breaker.ask(lambda: self._store.forget(session_id))

    async def is_reachable(self) -> bool:
        """Asks the store itself, pause or no pause, so that a probe notices its return."""
        try:
            await self._breaker.attempt(self._store.ping)
        except HistoryUnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Lets go of connections."""
        await self._store.close()
