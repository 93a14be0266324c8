"""The application factory that uvicorn calls in each worker process of `python -m service`."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from service.app import create_app
from service.processes.huge_pages import use_huge_pages_soon

_SWITCH_SECONDS = 0.0002
_OBJECTS_PER_COLLECTION = 50_000
"""Number of new objects after which the garbage collector runs on the youngest generation.

Python's default is lower. The objects of a request form no cycles, so nearly every collection is
in vain. A batch of 64 lists has about 10,000 objects until it is answered. A collection that visits
them all would hold the event loop up for four milliseconds.
"""


def create_worker() -> FastAPI:
    """Makes the application from the settings in the environment; tunes the interpreter for it.

    Threads switch more often, and garbage collections are rarer. They skip the objects of loaded
    bundles: visiting a whole catalog would delay all requests by tens of milliseconds.
    """
    # Heavy work in a thread delays the event loop by at most this long when both need the
    # interpreter.
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    return create_app(while_loading=without_garbage_collection, checks_host=True)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Context manager that disables garbage collection while bundles are loaded.

    At its end, all existing objects become exempt from later garbage collections. Freed memory goes
    back to the operating system, because opening a graph needs a lot of memory for a short time.
    The memory in use is then moved to huge pages.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        _return_freed_memory()
        use_huge_pages_soon()


def _return_freed_memory() -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # otherwise glibc would keep freed memory for reuse
