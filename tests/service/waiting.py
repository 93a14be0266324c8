"""Waits for a condition, however slow the machine is."""

import asyncio
from collections.abc import Callable

from tests.service.conftest import PATIENCE_SECONDS


async def until(is_true: Callable[[], bool]) -> None:
    """Waits until `is_true` returns True; raises TimeoutError if it does not for minutes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_true():
            await asyncio.sleep(0.01)
