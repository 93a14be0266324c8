"""Strain: a flag that remembers for a moment that a worker has refused requests."""

import asyncio
import time
from collections.abc import Callable

_SECONDS = 0.25


class Strain:
    """A flag that is on after a refused request, until `_SECONDS` pass without another refusal.

    Attributes:
        is_on: whether a request was refused within the last `_SECONDS`, or its pause was not over.
    """

    def __init__(self, switched: Callable[[], None]) -> None:
        """Makes a Strain that is off; `switched` is called after each change of `is_on`."""
        self.is_on = False
        self._switched = switched
        self._refused_at = 0.0

    def refused(self, pause_seconds: float = 0.0) -> None:
        """Sets `is_on` until `_SECONDS` after now; must be called while an event loop runs.

        Does not ask for the loop if `is_on`, since this is a system call, and refusals come by the
        thousand. `pause_seconds`: time from now after which the client can send on, which adds to
        `_SECONDS`.
        """
        self._refused_at = max(self._refused_at, time.monotonic() + pause_seconds)
        if not self.is_on:
            self._switch(is_on=True)
            loop = asyncio.get_running_loop()
            loop.call_later(_SECONDS, self._end, loop)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        left = self._refused_at + _SECONDS - time.monotonic()
        if left > 0:
            loop.call_later(left, self._end, loop)
        else:
            self._switch(is_on=False)

    def _switch(self, *, is_on: bool) -> None:
        self.is_on = is_on
        self._switched()
