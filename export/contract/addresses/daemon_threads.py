"""Runs a call that may never return in a thread of its own.

The thread is a daemon: unlike one of a pool, it does not keep the process from ending.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


def in_daemon_thread(work: Callable[[], _T]) -> "Future[_T]":
    """Starts `work` in a new daemon thread; returns a future of its result or exception."""
    future: Future[_T] = Future()
    Thread(target=_run, args=(work, future), daemon=True).start()
    return future


def _run(work: Callable[[], _T], future: "Future[_T]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # the future raises it where it is waited for
        future.set_exception(error)
    else:
        future.set_result(result)
