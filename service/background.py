"""Work that goes on beside the requests and ends with the service."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_PATIENCE_SECONDS = 0.1


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `work` while the context is open, then cancels it and waits for its end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        # Once is not enough: redis-py may take a cancellation for a lost connection.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
