"""The end of a call: its timeout bounds all tries and the waits between them."""

import time
from collections.abc import Iterator, Mapping

import httpx

_LEAST_SECONDS = 0.001
"""Shortest timeout of a step, since sockets take 0 for "do not wait at all"."""


class Deadline:
    """Moment at which a call ends."""

    def __init__(self, timeout_seconds: float) -> None:
        """Makes the end of a call that begins now and takes `timeout_seconds` at most."""
        self._timeout_seconds = timeout_seconds
        self._ends_at = time.monotonic() + timeout_seconds

    @property
    def seconds_left(self) -> float:
        """Time left in seconds, 0 after the end."""
        return max(0.0, self._ends_at - time.monotonic())

    def leaves(self, seconds: float) -> bool:
        """Returns whether a wait of so many seconds ends before the call does."""
        return seconds < self.seconds_left

    def error(self, request: httpx.Request) -> httpx.ReadTimeout:
        """Makes the error of a call that has reached its end."""
        late = f"no answer within {self._timeout_seconds:g} s, repeats included"
        return httpx.ReadTimeout(late, request=request)


class StepTimeouts(Mapping[str, float]):
    """Timeouts of a try's steps for httpx: each step has the time left when it begins.

    httpx looks the timeout of a step up when the step begins; a fixed number would give each step
    the whole time again.
    """

    def __init__(self, deadline: Deadline, longest: httpx.Timeout) -> None:
        """Makes the timeouts of a call that ends at `deadline`.

        Args:
            deadline: end of the call.
            longest: timeouts of the HTTP client, which no step exceeds.
        """
        self._deadline = deadline
        self._longest = longest.as_dict()

    def __getitem__(self, step: str) -> float:
        """Returns the timeout of a step (connect, read, write or pool) in seconds."""
        longest, left = self._longest[step], self._deadline.seconds_left
        return max(_LEAST_SECONDS, left if longest is None else min(left, longest))

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names of the steps."""
        return iter(self._longest)

    def __len__(self) -> int:
        """Returns the number of steps."""
        return len(self._longest)


def read_until(response: httpx.Response, deadline: Deadline) -> None:
    """Reads the body of a response; httpx limits the time of each chunk only.

    Raises:
        httpx.ReadTimeout: a chunk came after the deadline.
    """
    stream = response.stream
    if isinstance(stream, httpx.SyncByteStream):
        response.stream = _StreamUntil(stream, deadline, response.request)
    response.read()


class _StreamUntil(httpx.SyncByteStream):
    def __init__(
        self, stream: httpx.SyncByteStream, deadline: Deadline, request: httpx.Request
    ) -> None:
        self._stream, self._deadline, self._request = stream, deadline, request

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            if self._deadline.seconds_left == 0:
                raise self._deadline.error(self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()
