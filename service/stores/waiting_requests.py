"""Counts requests that wait, each of them once, however many calls of it are in progress.

Requests that wait leave the event loop free, so admission leaves them out of the light work. If one
request counted several times, others that do work would be left out in its place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_counted: ContextVar[bool] = ContextVar("is_counted", default=False)


class WaitingRequests:
    """Counts the requests that wait for something, such as a store.

    As a context manager it counts the request of the present task, unless that is counted already.

    Attributes:
        number: number of requests that wait.
    """

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> None:
        self.number += not _is_counted.get()

    def __exit__(self, *_: object) -> None:
        self.number -= not _is_counted.get()


@contextmanager
def counted_already() -> Iterator[None]:
    """Context manager: WaitingRequests leave out the present request and the tasks it starts."""
    token = _is_counted.set(True)
    try:
        yield
    finally:
        _is_counted.reset(token)
