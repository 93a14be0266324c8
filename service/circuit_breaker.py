"""A circuit breaker: after several failures in a row, calls to a backend fail at once.

One call is tried after each pause. So a lost Redis or teacher costs one timeout per pause instead
of one per request. A backend can have parts that are lost one by one, such as the nodes of a
cluster: calls to the other parts go on.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from service.errors import ServiceError

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Part:
    """The state of a part of a backend: its failures in a row, and times of the breaker's clock."""

    is_open: bool = False
    failures: int = 0
    failed_at: float = 0.0
    paused_until: float = 0.0


class CircuitBreaker:
    """Stops calls to a backend that has failed repeatedly, and tries one call after each pause."""

    def __init__(
        self,
        name: str,
        failure: type[ServiceError],
        *,
        answers: tuple[type[Exception], ...] = (),
        max_failures: int,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        num_parts: int = 1,
    ) -> None:
        """Makes a closed breaker.

        Args:
            name: name of the backend in messages.
            failure: the error type that counts as a failure; an open breaker raises it too.
            answers: the error types that count as a success, because they show that the backend
                answers. They may be subtypes of `failure`.
            max_failures: number of failures in a row that open the breaker.
            pause_seconds: time between two tries while the breaker is open; `math.inf`: `call`
                never tries, so only `call_even_if_open` finds out that the backend is back.
            clock: returns the time in seconds; tests pass their own.
            num_parts: number of parts of the backend. The breaker opens for each by itself, and for
                all after as many failures in a row as there are parts.
        """
        self._name = name
        self._failure = failure
        self._answers = answers
        self._max_failures = max_failures
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._parts = [_Part() for _ in range(num_parts)]
        self._num_open = 0
        self._failures_in_a_row = 0  # of all parts together

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open for any part."""
        return self._num_open > 0

    def call(self, operation: Callable[[], Awaitable[T]], part: int = 0) -> Awaitable[T]:
        """Runs `operation` if the breaker is closed for `part`; returns an awaitable of its result.

        While the breaker is open, one call per pause runs, to see whether the backend is back. All
        other calls raise `failure` at once.
        """
        state = self._parts[part]
        if state.is_open:
            if self._clock() < state.paused_until:
                raise self._failure(
                    f"{self._name} failed repeatedly and is not asked until it answers a probe"
                )
            return self._probe(operation, part)
        return self.call_even_if_open(operation, part)

    async def call_even_if_open(
        self, operation: Callable[[], Awaitable[T]], part: int = 0, also: Sequence[int] = ()
    ) -> T:
        """Runs `operation` even if the breaker is open, so that a health check sees a recovery.

        Its success or failure is counted, with one exception: a failure is not counted if another
        call to `part` has failed since this call began. So many calls that share a lost connection
        count as one failure.

        Args:
            operation: the call to the backend.
            part: the part that it asks.
            also: further parts for which its success or failure is counted.
        """
        began = self._clock()
        try:
            answer = await operation()
        except self._answers:  # first, since some are failures by their type
            self._count_success(part, also)
            raise
        except self._failure as error:
            for each in (part, *also):
                if began >= self._parts[each].failed_at:
                    self._count_failure(error, self._parts[each])
            raise
        self._count_success(part, also)
        return answer

    async def _probe(self, operation: Callable[[], Awaitable[T]], part: int) -> T:
        """Tries `operation` while the breaker is open; until it ends, all other calls fail."""
        state = self._parts[part]
        state.paused_until = math.inf
        try:
            return await self.call_even_if_open(operation, part)
        finally:
            state.paused_until = self._clock() + self._pause_seconds

    def _count_success(self, part: int, also: Sequence[int] = ()) -> None:
        state = self._parts[part]
        self._failures_in_a_row = state.failures = 0
        if state.is_open:
            state.is_open = False
            self._num_open -= 1
            if not self.is_open:
                logger.warning("%s is back", self._name)
        for each in also:
            self._count_success(each)

    def _count_failure(self, error: ServiceError, state: _Part) -> None:
        state.failures += 1
        state.failed_at = self._clock()
        self._failures_in_a_row += 1
        was_open = self.is_open
        if state.failures >= self._max_failures:
            self._open(state)
        if self._failures_in_a_row >= max(self._max_failures, len(self._parts)):
            for each in self._parts:
                self._open(each)
        if self.is_open and not was_open:
            logger.warning("%s is lost, answering without it: %s", self._name, error.in_full)

    def _open(self, state: _Part) -> None:
        if not state.is_open:
            state.is_open = True
            state.paused_until = self._clock() + self._pause_seconds
            self._num_open += 1
