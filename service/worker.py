"""The application in a process of its own, which does nothing else."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from service.app import create_app


def create_worker() -> FastAPI:
    """Makes the service from the environment; what it loads is never looked through for garbage.

    A collection that walks a catalog holds all requests up for tens of milliseconds.
    """
    app = create_app()
    opened = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with opened(app) as state:
            gc.collect()
            gc.freeze()
            yield state

    app.router.lifespan_context = lifespan
    return app
