from collections.abc import Awaitable, Callable

import anyio
import pytest

from service.shared_calls import SharedCalls

pytestmark = pytest.mark.anyio


class Gated:
    """A function that returns the number of its call, once the gate is open."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = anyio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        await self.gate.wait()
        return number


def shared(function: Callable[[], Awaitable[int]]) -> SharedCalls[int]:
    return SharedCalls(function, pause_after=lambda _: 0.0)


async def test_who_asks_during_a_call_shares_the_next_one() -> None:
    function, results = Gated(), list[int]()
    calls = shared(function)

    async def ask() -> None:
        results.append(await calls.result())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert (function.calls, calls.waiting) == (1, 8)
        function.gate.set()
    assert results == [1, 1, 1, 2, 2, 2, 2, 2]
    assert calls.waiting == 0


async def test_the_pause_after_a_call_depends_on_the_time_that_it_took() -> None:
    began, took = list[float](), list[float]()

    async def slow() -> int:
        began.append(anyio.current_time())
        await anyio.sleep(0.02)
        return 0

    def pause_after(seconds: float) -> float:
        took.append(seconds)
        return 3 * seconds

    calls = SharedCalls(slow, pause_after)
    await calls.result()
    await calls.result()
    assert took[0] >= 0.02
    assert began[1] - began[0] >= 4 * took[0]


async def test_a_caller_that_leaves_takes_the_result_from_nobody() -> None:
    function = Gated()
    calls = shared(function)
    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.01):  # the first caller, whose call goes on
            await calls.result()

        async def open_gate() -> None:
            function.gate.set()

        with anyio.move_on_after(0.01):
            await calls.result()
        tasks.start_soon(open_gate)
        assert await calls.result() == 2
    assert (function.calls, calls.waiting) == (2, 0)


async def test_an_error_reaches_its_callers_and_the_next_caller_gets_a_new_call() -> None:
    failures = [OSError("lost")]

    async def function() -> int:
        if failures:
            raise failures.pop()
        return 7

    calls = shared(function)
    with pytest.raises(OSError, match="lost"):
        await calls.result()
    assert await calls.result() == 7
