"""A history store that still answers, degraded, when the store behind it fails."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.circuit_breaker import CircuitBreaker
from service.errors import HistoryUnavailableError
from service.stores.history.protocol import Event, HistoryStore


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """A session's item ids, oldest first; `degraded` if the store did not answer."""

    history: Sequence[str]
    degraded: bool = False


_FAILURES_TO_OPEN = 5


class GuardedHistory:
    """Puts a circuit breaker before a history store; routes use the store through it."""

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
            max_failures=_FAILURES_TO_OPEN,
            pause_seconds=pause_seconds,
            clock=clock,
        )

    @property
    def is_lost(self) -> bool:
        """Whether the store counts as lost, so that most requests do without it."""
        return self._breaker.is_open

    async def append(self, session_id: str, event: Event) -> StoredHistory:
        """Stores `event`; if the store fails, the history is this event only."""
        try:
            return StoredHistory(
                await self._breaker.call(lambda: self._store.append(session_id, event))
            )
        except HistoryUnavailableError:
            return StoredHistory([event.item_id], degraded=True)

    async def read(self, session_id: str) -> StoredHistory:
        """Reads a history; if the store fails, it is empty."""
        try:
            return StoredHistory(await self._breaker.call(lambda: self._store.read(session_id)))
        except HistoryUnavailableError:
            return StoredHistory([], degraded=True)

    async def forget(self, session_id: str) -> None:
        """Deletes a session.

        Raises:
            HistoryUnavailableError: the session may still be stored.
        """
        await self._breaker.call(lambda: self._store.forget(session_id))

    async def is_reachable(self) -> bool:
        """Whether the store answers now; asks it even while the breaker is open."""
        try:
            await self._breaker.call_even_if_open(self._store.ping)
        except HistoryUnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Closes the store's connections."""
        await self._store.close()
