"""A circuit breaker: after several failures in a row, calls to a backend fail at once.

One call is tried after each pause. So a lost Redis or teacher costs one timeout per pause instead
of one per request.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.errors import ServiceError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class CircuitBreaker:
    """Stops calls to a backend that has failed repeatedly, and tries one call after each pause."""

    def __init__(
        self,
        name: str,
        failure: type[ServiceError],
        *,
        refusal: type[ServiceError] | None = None,
        max_failures: int,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes a closed breaker.

        Args:
            name: name of the backend in messages.
            failure: the error type that counts as a failure; an open breaker raises it too.
            refusal: the error type that counts as a success, because it shows that the backend
                answers; None: no such type.
            max_failures: number of failures in a row that open the breaker.
            pause_seconds: time between two tries while the breaker is open; `math.inf`: `call`
                never tries, so only `call_even_if_open` finds out that the backend is back.
            clock: returns the time in seconds; tests pass their own.
        """
        self.calls_in_progress = 0
        self._name = name
        self._failure = failure
        self._refusal = refusal or ()
        self._max_failures = max_failures
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._failures = 0
        self._failed_at = 0.0
        self._paused_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open, because at least the last `max_failures` calls failed."""
        return self._failures >= self._max_failures

    def call(self, operation: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Runs `operation` if the breaker is closed; returns an awaitable of its result.

        While the breaker is open, one call per pause runs, to see whether the backend is back. All
        other calls raise `failure` at once.
        """
        if self.is_open:
            if self._clock() < self._paused_until:
                raise self._failure(
                    f"{self._name} failed repeatedly and is not asked until it answers a probe"
                )
            return self._probe(operation)
        return self.call_even_if_open(operation)

    async def call_even_if_open(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Runs `operation` even if the breaker is open, so that a health check sees a recovery.

        Its success or failure is counted, with one exception: a failure is not counted if another
        call has failed since this call began. So many calls that share a lost connection count as
        one failure.
        """
        began = self._clock()
        self.calls_in_progress += 1
        try:
            answer = await operation()
        except self._failure as error:
            if began >= self._failed_at:
                self._count_failure(error)
            raise
        except self._refusal:
            self._count_success()
            raise
        finally:
            self.calls_in_progress -= 1
        self._count_success()
        return answer

    async def _probe(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Tries `operation` while the breaker is open; until it ends, all other calls fail."""
        self._paused_until = math.inf
        try:
            return await self.call_even_if_open(operation)
        finally:
            self._paused_until = self._clock() + self._pause_seconds

    def _count_success(self) -> None:
        if self.is_open:
            logger.warning("%s is back", self._name)
        self._failures = 0

    def _count_failure(self, error: ServiceError) -> None:
        self._failures += 1
        self._failed_at = self._clock()
        if self._failures == self._max_failures:
            self._paused_until = self._failed_at + self._pause_seconds
            logger.warning("%s is lost, answering without it: %s", self._name, error.in_full)
