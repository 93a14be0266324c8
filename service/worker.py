"""The application factory for a worker process: `python -m service` starts it to serve requests."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from service.app import create_app
from service.processes.huge_pages import use_huge_pages_soon

_SWITCH_SECONDS = 0.0002
_OBJECTS_PER_COLLECTION = 10_000
"""Number of new objects after which the youngest are searched for cycles; Python's default is 700.

The objects of a request form no cycles, so nearly every search is in vain.
"""


def create_worker() -> FastAPI:
    """Makes the application from the environment, with bundles that are never garbage-collected.

    A garbage collection that walks a whole catalog would delay all requests by tens of
    milliseconds.
    """
    # Heavy work in a thread delays the event loop by at most this long when both need the
    # interpreter.
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    return create_app(while_loading=without_garbage_collection, checks_host=True)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disables garbage collection in the context.

    At its end, all existing objects are exempt from later garbage collections. Freed memory is
    returned to the operating system, because opening a graph takes much memory for a short time.
    The memory in use is then put on huge pages.
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
