"""The application in a process of its own, which does nothing else."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from service.app import create_app


def create_worker() -> FastAPI:
    """Makes the service from the environment; what it loads is never looked through for garbage.

    A collection that walks a catalog holds all requests up for tens of milliseconds.
    """
    return create_app(while_loading=without_garbage_collection)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Keeps from the collector what is made within, and all that there is by then.

    Memory that it took in between goes back to the system; opening a graph takes much.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        _give_back_memory()


def _give_back_memory() -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # glibc keeps what is freed for itself
