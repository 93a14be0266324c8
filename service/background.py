"""Background tasks, which run beside the requests and end with the service."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_RETRY_SECONDS = 0.1


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `work` while the context is open, then cancels it and waits for its end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        # Cancelled repeatedly, because redis-py can mistake a cancellation for a lost connection
        # and go on.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_RETRY_SECONDS)
