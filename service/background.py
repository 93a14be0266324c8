"""Background tasks, which run beside the requests and end with the service."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 0.1


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `work` while the context is open, then cancels it and waits for its end.

    An exception that ends `work` is logged, and the service goes on without this work.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_log_defect)
    try:
        yield
    finally:
        # Cancelled repeatedly, because redis-py can mistake a cancellation for a lost connection
        # and go on.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_RETRY_SECONDS)


def _log_defect(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("%s has ended by a defect of the program", task.get_coro(), exc_info=error)
