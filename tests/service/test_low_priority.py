"""Heavy work has threads of its own, which the event loop precedes on a core."""

import asyncio
import os
import sys
import threading
from contextvars import ContextVar

import pytest

from service.low_priority import LowPriorityThreads
from tests.service.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

_LEAST = 19  # the lowest priority that a thread can have

REQUEST: ContextVar[str] = ContextVar("REQUEST")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority")
async def test_only_the_threads_have_a_lower_priority() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    of_thread = await LowPriorityThreads(1).run(os.getpriority, os.PRIO_PROCESS, 0)
    assert of_thread == min(_LEAST, before + 10)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_there_are_no_more_threads_than_requests_that_may_work_at_once() -> None:
    threads = LowPriorityThreads(2)
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def work() -> int:
        both.wait()  # so that both threads have started
        return threading.get_ident()

    assert len({*await asyncio.gather(*(threads.run(work) for _ in range(6)))}) == 2


async def test_work_in_a_thread_sees_the_context_of_its_request() -> None:
    threads = LowPriorityThreads(1)
    for name in ("first", "second"):
        REQUEST.set(name)
        assert await threads.run(REQUEST.get) == name
