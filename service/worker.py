"""The application factory of a worker process, which does nothing but serve."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from service.app import create_app


def create_worker() -> FastAPI:
    """Makes the service from the environment, and exempts what it loads from garbage collection.

    A collection that walks a whole catalog delays all requests by tens of milliseconds.
    """
    return create_app(while_loading=without_garbage_collection)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Exempts all objects that exist when the context ends from later garbage collections.

    Then returns freed memory to the operating system: opening a graph takes much for a moment.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        _return_freed_memory()


def _return_freed_memory() -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # glibc keeps freed memory for reuse
