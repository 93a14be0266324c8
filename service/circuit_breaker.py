"""A circuit breaker: what fails several times in a row is left alone for a while.

So a lost Redis or teacher costs a timeout now and then and not in every request.
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
    """Stands between the service and one thing that may be lost."""

    def __init__(
        self,
        name: str,
        failure: type[ServiceError],
        *,
        refusal: type[ServiceError] | None = None,
        patience: int,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is for people; `patience` errors of the kind `failure` in a row are enough.

        An error of the kind `refusal` comes from a thing that is there.
        """
        self._name = name
        self._failure = failure
        self._refusal = refusal or ()
        self._patience = patience
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._failures = 0
        self._failed_at = 0.0
        self._paused_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the thing counts as lost."""
        return self._failures >= self._patience

    async def ask(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Runs `operation`, unless the thing is left alone; raises `failure` then."""
        if self.is_open:
            if self._clock() < self._paused_until:
                raise self._failure(f"{self._name} is left alone for a while")
            return await self._probe(operation)
        return await self.attempt(operation)

    async def attempt(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Runs `operation`, pause or no pause, so that a probe notices the return.

        What was under way when another attempt failed counts no more: a connection that many share
        is lost once.
        """
        began = self._clock()
        try:
            answer = await operation()
        except self._failure as error:
            if began >= self._failed_at:
                self._count_failure(error)
            raise
        except self._refusal:
            self._count_success()
            raise
        self._count_success()
        return answer

    async def _probe(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Tries, for one request; those that come while it waits do not."""
        self._paused_until = math.inf
        try:
            return await self.attempt(operation)
        finally:
            self._paused_until = self._clock() + self._pause_seconds

    def _count_success(self) -> None:
        if self.is_open:
            logger.warning("%s is back", self._name)
        self._failures = 0

    def _count_failure(self, error: ServiceError) -> None:
        self._failures += 1
        self._failed_at = self._clock()
        if self._failures == self._patience:
            self._paused_until = self._failed_at + self._pause_seconds
            logger.warning("%s is lost, answering without it: %s", self._name, error.in_full)
