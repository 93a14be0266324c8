"""A history store that gives degraded answers when the store behind it fails."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.circuit_breaker import CircuitBreaker
from service.errors import HistoryUnavailableError
from service.stores.history.protocol import Event, HistoryStore


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """The history of a session, as the store returned it.

    Attributes:
        history: item ids, oldest first.
        degraded: whether the store did not answer; `history` then lacks all stored items.
    """

    history: Sequence[str]
    degraded: bool = False


_FAILURES_TO_OPEN = 5  # failures in a row after which the circuit breaker opens


class GuardedHistory:
    """Calls a history store through a circuit breaker; routes use the store only in this way."""

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
        """Whether the circuit breaker is open, so that most requests do not ask the store."""
        return self._breaker.is_open

    async def append(self, session_id: str, event: Event) -> StoredHistory:
        """Stores `event` and returns the history that ends with it.

        If the store fails, the returned history has this event only and is degraded.
        """
        try:
            return StoredHistory(
                await self._breaker.call(lambda: self._store.append(session_id, event))
            )
        except HistoryUnavailableError:
            return StoredHistory([event.item_id], degraded=True)

    async def read(self, session_id: str) -> StoredHistory:
        """Reads a history; if the store fails, the history is empty and degraded."""
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
        """Asks the store, even while the breaker is open, and returns whether it answers."""
        try:
            await self._breaker.call_even_if_open(self._store.ping)
        except HistoryUnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Closes the store's connections."""
        await self._store.close()
