"""Limits the time of requests that may never return, and the number of those that go on.

A request that has not returned in time goes on in a thread of its own, since no thread can be
stopped from outside. Where too many go on, further requests are refused; from time to time one is
let through, so that a store that answers again is found.
"""

import time
from collections.abc import Callable
from concurrent.futures import wait
from threading import Lock
from typing import TypeVar

from export.contract.addresses.daemon_threads import in_daemon_thread

_REQUEST_SECONDS = 20
"""Maximum time of one request: to open an object, which may connect, or to read a block of it."""
_MAX_GOING_ON = 8
_FIRST_PAUSE_SECONDS = 60
_LONGEST_PAUSE_SECONDS = 3_600

_T = TypeVar("_T")


class TimedRequests:
    """Calls requests of one store, each in a thread of its own and within a time.

    While 8 requests go on, further ones are refused. One more is let through after a minute, and
    each that does not return in time doubles the pause before the next, up to an hour. While such
    a request returns in time, the next follows at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes a function that returns a time in seconds."""
        self._clock = clock
        self._lock = Lock()
        self._going_on = 0
        self._at_most = _MAX_GOING_ON
        self._full_since = 0.0

    def call(self, request: Callable[[], _T]) -> _T:
        """Calls `request` and returns its result.

        Raises:
            TimeoutError: `request` did not return in time and goes on, or too many requests go on,
                so it was not called.
        """
        self._begin()

        def counted() -> _T:
            try:
                return request()
            finally:
                self._end()

        return self._in_time(counted)

    def call_last(self, request: Callable[[], object]) -> None:
        """Calls `request`, which ends the use of a file, though too many others go on.

        Its errors are ignored, and so is one that does not return in time: everything was read.
        """
        wait([in_daemon_thread(request)], _REQUEST_SECONDS)

    def _in_time(self, request: Callable[[], _T]) -> _T:
        future = in_daemon_thread(request)
        if wait([future], _REQUEST_SECONDS).not_done:
            raise TimeoutError(f"no answer within {_REQUEST_SECONDS:g} s")
        return future.result()

    def _begin(self) -> None:
        with self._lock:
            now = self._clock()
            if self._going_on >= self._at_most:
                pause = self._full_since + self._pause() - now
                if pause > 0:
                    raise TimeoutError(
                        f"{self._going_on} requests before have not ended; the next is tried in "
                        f"{pause:.0f} s, or after a restart"
                    )
                self._at_most = self._going_on + 1
            self._going_on += 1
            if self._going_on == self._at_most:
                self._full_since = now

    def _end(self) -> None:
        with self._lock:
            self._going_on -= 1
            self._at_most = max(_MAX_GOING_ON, self._going_on + 1)

    def _pause(self) -> float:
        """Returns the seconds for which nothing is tried, by the number of requests that go on."""
        doubled = self._going_on - _MAX_GOING_ON
        return min(_FIRST_PAUSE_SECONDS * 2.0**doubled, _LONGEST_PAUSE_SECONDS)
