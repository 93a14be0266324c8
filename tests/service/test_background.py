import asyncio
import gc

import anyio
import pytest

from service.background import in_background
from tests.service.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio


async def test_background_work_runs_until_the_context_ends() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async with in_background(work()):
        await started.wait()
        assert not ended.is_set()
    assert ended.is_set()


async def test_background_work_that_misses_a_cancellation_is_cancelled_again() -> None:
    started, cancellations = asyncio.Event(), 0

    async def work() -> None:
        nonlocal cancellations
        while cancellations < 2:
            started.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancellations += 1

    with anyio.fail_after(PATIENCE_SECONDS):
        async with in_background(work()):
            await started.wait()
    assert cancellations == 2


async def test_a_defect_that_ends_background_work_is_logged_as_critical_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    async with in_background(work()):
        await asyncio.sleep(0.01)
        (record,) = caplog.records
    gc.collect()  # asyncio logs exceptions of lost tasks that nobody has read
    assert caplog.records == [record]
    assert record.levelname == "CRITICAL"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert "work" in record.message
