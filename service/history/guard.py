"""A store that may be lost, made into one that always answers.

A store that fails several times in a row is left alone for a while, so that a lost Redis costs a
timeout now and then and not in every request (circuit breaker).
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from service.errors import HistoryUnavailableError
from service.history.store import Event, HistoryStore

logger = logging.getLogger(__name__)

_FAILURES_TO_PAUSE = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recall:
    """A history as far as it is known; `degraded` if the store did not answer."""

    history: Sequence[str]
    degraded: bool = False


class GuardedHistory:
    """The history store as the routes see it."""

    def __init__(
        self,
        store: HistoryStore,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._failures = 0
        self._closed_until = 0.0

    async def append(self, session_id: str, event: Event) -> Recall:
        """Stores `event`; without the store, the event alone is the history."""
        try:
            return Recall(await self._ask(lambda: self._store.append(session_id, event)))
        except HistoryUnavailableError:
            return Recall([event.item_id], degraded=True)

    async def read(self, session_id: str) -> Recall:
        """Reads a history; without the store, it is empty."""
        try:
            return Recall(await self._ask(lambda: self._store.read(session_id)))
        except HistoryUnavailableError:
            return Recall([], degraded=True)

    async def forget(self, session_id: str) -> None:
        """Removes a session.

        Raises:
            HistoryUnavailableError: it may still be there; nothing else would be the truth.
        """
        await self._ask(lambda: self._store.forget(session_id))

    async def is_reachable(self) -> bool:
        """Asks the store itself, pause or no pause, so that a probe notices its return."""
        try:
            await self._attempt(self._store.ping)
        except HistoryUnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Lets go of connections."""
        await self._store.close()

    async def _ask(self, operation: Callable[[], Awaitable[T]]) -> T:
        if self._failures >= _FAILURES_TO_PAUSE:
            if self._clock() < self._closed_until:
                raise HistoryUnavailableError("the history store is left alone for a while")
            # This request tries; those that come while it waits do not.
            self._closed_until = self._clock() + self._pause_seconds
        return await self._attempt(operation)

    async def _attempt(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await operation()
        except HistoryUnavailableError as error:
            self._count_failure(error)
            raise
        if self._failures >= _FAILURES_TO_PAUSE:
            logger.warning("the history store is back")
        self._failures = 0
        return answer

    def _count_failure(self, error: HistoryUnavailableError) -> None:
        self._failures += 1
        if self._failures >= _FAILURES_TO_PAUSE:
            self._closed_until = self._clock() + self._pause_seconds
        if self._failures == _FAILURES_TO_PAUSE:
            logger.warning("the history store is lost, answering without it: %s", error)
