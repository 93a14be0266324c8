"""Heavy work waits for its turn, and is given up when nobody waits for it any more."""

import asyncio
import threading
import time
from collections.abc import Generator

import pytest

from service.admission.caller import Caller
from service.admission.gate import Gate
from service.errors import OverloadedError

pytestmark = pytest.mark.anyio

SOON = 0.1
LONG = 60.0


class Stage:
    """A gate with the refusals that it counted, and callers that may leave."""

    def __init__(self, max_units: int = 100) -> None:
        self.refusals: list[str] = []
        self.left: set[str] = set()
        self.gate = Gate(1, max_units, self.refusals.append)

    def caller(self, name: str = "", wait_seconds: float = LONG) -> Caller:
        return Caller(name, wait_seconds, lambda: name in self.left)


async def turns_of_the_loop() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_one_request_works_at_a_time_and_the_others_wait() -> None:
    stage = Stage()
    first = await stage.gate.enter(stage.caller(), 3)
    second = asyncio.create_task(stage.gate.enter(stage.caller(), 4))
    await turns_of_the_loop()
    assert not second.done()
    assert (stage.gate.running_units, stage.gate.queued_units, stage.gate.in_progress) == (3, 4, 2)
    first.end()
    first.end()
    (await second).end()
    assert (stage.gate.running_units, stage.gate.queued_units, stage.gate.in_progress) == (0, 0, 0)
    assert stage.refusals == []


async def test_whether_a_turn_would_come_too_late_can_be_asked_without_a_refusal() -> None:
    """100 units of 0.5 ms each are 50 ms; a turn must come in a quarter of the time to wait."""
    stage = Stage()
    assert not stage.gate.is_late(stage.caller(wait_seconds=0.0), 1)
    await stage.gate.enter(stage.caller(), 100)
    assert stage.gate.is_late(stage.caller(wait_seconds=0.15), 1)
    assert not stage.gate.is_late(stage.caller(wait_seconds=0.25), 1)
    assert stage.refusals == []


async def test_a_request_that_finds_the_queue_full_is_refused_at_once() -> None:
    stage = Stage(max_units=10)
    await stage.gate.enter(stage.caller(), 1)
    asyncio.create_task(stage.gate.enter(stage.caller(), 10))  # noqa: RUF006 - ends with the loop
    await turns_of_the_loop()
    with pytest.raises(OverloadedError):
        await stage.gate.enter(stage.caller(), 1)
    assert stage.refusals == ["full"]


async def test_a_request_whose_turn_would_come_too_late_is_refused_at_once() -> None:
    stage = Stage()
    await stage.gate.enter(stage.caller(), 1)
    # A unit that took 1,000 s moves the estimate to 0.8 * 0.0005 s + 0.2 * 1000 s a unit. So the
    # next turn is expected in twice 200.0004 s, and must be expected in a quarter of the time.
    stage.gate.leave(1, 1000)
    turn = await stage.gate.enter(stage.caller(), 2)
    with pytest.raises(OverloadedError) as refused:
        stage.gate.check(stage.caller(wait_seconds=1599), 1)
    assert refused.value.retry_after == 401
    stage.gate.check(stage.caller(wait_seconds=1601), 1)
    turn.end()
    stage.gate.check(stage.caller(wait_seconds=1), 1)


async def test_a_request_is_dropped_when_its_time_is_over_before_its_turn() -> None:
    stage = Stage()
    turn = await stage.gate.enter(stage.caller(), 1)
    with pytest.raises(OverloadedError):
        await stage.gate.enter(stage.caller(wait_seconds=SOON), 1)
    assert stage.refusals == ["deadline"]
    turn.end()
    (await stage.gate.enter(stage.caller(), 1)).end()


async def test_a_request_whose_sender_has_left_never_has_its_turn() -> None:
    stage = Stage()
    turn = await stage.gate.enter(stage.caller(), 1)
    gone = asyncio.create_task(stage.gate.enter(stage.caller("gone"), 1))
    there = asyncio.create_task(stage.gate.enter(stage.caller("there"), 1))
    await turns_of_the_loop()
    stage.left.add("gone")
    turn.end()
    (await there).end()
    with pytest.raises(OverloadedError):
        await gone
    assert stage.refusals == ["left"]
    assert stage.gate.in_progress == 0


async def test_a_request_that_is_cancelled_gives_back_its_place_or_its_turn() -> None:
    stage = Stage()
    turn = await stage.gate.enter(stage.caller(), 1)
    waiting, granted = (asyncio.create_task(stage.gate.enter(stage.caller(), 1)) for _ in range(2))
    await turns_of_the_loop()
    waiting.cancel()
    await turns_of_the_loop()
    assert stage.gate.queued_units == 1
    turn.end()
    granted.cancel()
    await turns_of_the_loop()
    assert stage.gate.in_progress == 0
    assert granted.cancelled()


async def test_a_turn_passes_by_a_request_that_is_cancelled_in_the_same_moment() -> None:
    stage = Stage()
    turn = await stage.gate.enter(stage.caller(), 1)
    cancelled, next_one = (
        asyncio.create_task(stage.gate.enter(stage.caller(), 1)) for _ in range(2)
    )
    await turns_of_the_loop()
    cancelled.cancel()
    turn.end()  # before the cancelled task has run
    (await next_one).end()
    assert stage.gate.in_progress == 0
    assert cancelled.cancelled()


async def test_a_request_that_is_refused_and_cancelled_in_the_same_moment_ends_no_other_turn() -> (
    None
):
    stage = Stage()
    turn = await stage.gate.enter(stage.caller(), 1)
    waiting = asyncio.create_task(stage.gate.enter(stage.caller(wait_seconds=SOON), 1))
    await turns_of_the_loop()
    asyncio.get_running_loop().call_later(SOON, waiting.cancel)  # right after it is refused
    await asyncio.wait([waiting])
    assert stage.refusals == ["deadline"]
    assert (stage.gate.in_progress, stage.gate.running_units) == (1, 1)
    turn.end()


async def test_work_of_a_request_that_has_a_turn_adds_to_its_cost() -> None:
    stage = Stage()
    turn = await stage.gate.enter(stage.caller(), 2)
    async with stage.gate.turn({"type": "http", "headers": [], "turn": turn}, 5) as same:
        assert same is turn
        assert stage.gate.running_units == 7
    assert stage.gate.running_units == 7  # the turn goes on
    turn.end()
    assert stage.gate.running_units == 0


async def test_a_request_with_a_place_in_a_bound_does_not_count_again_in_its_turn() -> None:
    stage = Stage()
    scope = {"type": "http", "headers": [], "place": object()}
    async with stage.gate.turn(scope, 1):
        assert (stage.gate.in_progress, stage.gate.running_units) == (0, 1)
        waiting = asyncio.create_task(stage.gate.enter(stage.caller(), 1))
        await turns_of_the_loop()
        assert stage.gate.in_progress == 1
    (await waiting).end()
    assert stage.gate.in_progress == 0


def counted(done: list[str], stop: threading.Event | None = None) -> Generator[None, None, str]:
    for number in range(3):
        done.append(threading.current_thread().name)
        if stop and number == 1:
            stop.set()
        yield
    return "result"


async def test_slices_run_in_a_thread_and_give_their_result() -> None:
    stage, done = Stage(), list[str]()
    turn = await stage.gate.enter(stage.caller(), 1)
    assert await turn.run_slices(counted(done)) == "result"
    assert len(done) == 3
    assert threading.current_thread().name not in done


async def test_no_further_slice_runs_after_the_sender_has_left() -> None:
    stage, done, stop = Stage(), list[str](), threading.Event()
    caller = Caller("", LONG, stop.is_set)
    turn = await stage.gate.enter(caller, 1)
    with pytest.raises(OverloadedError):
        await turn.run_slices(counted(done, stop))
    assert len(done) == 2
    assert stage.refusals == ["left"]


async def test_a_request_whose_time_ends_between_slices_is_refused_on_the_event_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    gate = Gate(1, 100, lambda _: loops.append(asyncio.get_running_loop()))
    turn = await gate.enter(Caller("", SOON, lambda: False), 1)

    def slow() -> Generator[None, None, None]:
        time.sleep(2 * SOON)
        yield

    with pytest.raises(OverloadedError):
        await turn.run_slices(slow())
    assert loops == [asyncio.get_running_loop()]


async def test_no_further_slice_runs_after_the_time_is_over() -> None:
    stage, done = Stage(), list[str]()
    turn = await stage.gate.enter(stage.caller(wait_seconds=SOON), 1)
    await asyncio.sleep(2 * SOON)
    with pytest.raises(OverloadedError):
        await turn.run_slices(counted(done))
    assert (done, stage.refusals) == ([], ["deadline"])


async def test_a_greedy_key_does_not_delay_the_turn_of_another() -> None:
    stage, order = Stage(), list[str]()

    async def work(name: str) -> None:
        turn = await stage.gate.enter(stage.caller(name), 5)
        order.append(name)
        turn.end()

    turn = await stage.gate.enter(stage.caller(), 1)
    tasks = [asyncio.create_task(work(name)) for name in ["greedy"] * 5 + ["modest"]]
    await turns_of_the_loop()
    turn.end()
    await asyncio.gather(*tasks)
    assert order.index("modest") <= 1


async def test_a_turn_can_turn_out_to_cost_more() -> None:
    stage = Stage()
    turn = await stage.gate.enter(stage.caller(), 3)
    turn.charge(4)
    assert stage.gate.running_units == 7
    turn.end()
    assert stage.gate.running_units == 0
