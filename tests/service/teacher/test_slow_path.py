import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest
from fastapi import Response

from service.errors import TeacherLostError, TeacherRefusalError, TeacherUnavailableError
from service.teacher.client import TeacherQuery
from service.teacher.slow_path import SlowPath

if TYPE_CHECKING:
    from tests.service.teacher.conftest import RingTeacher

pytestmark = pytest.mark.anyio

PAUSE_SECONDS = 5
QUESTION = TeacherQuery(("c",), 3)
BUSY = Response(status_code=503, headers={"Retry-After": "1"})


async def lose(teacher: "RingTeacher", slow_path: SlowPath) -> None:
    teacher.failure = Response(status_code=500)
    for _ in range(2):
        with pytest.raises(TeacherLostError):
            await slow_path.recommend(TeacherQuery(("h",), 1))


async def test_the_same_query_is_asked_once(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    first = await slow_path.recommend(TeacherQuery(("c",), 3, frozenset("ah")))
    again = await slow_path.recommend(TeacherQuery(("c",), 3, frozenset("ha")))
    assert (first.cached, again.cached) == (False, True)
    assert first.answer == again.answer
    assert len(ring_teacher.asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        TeacherQuery(("a", "c"), 3),
        TeacherQuery(("c",), 2),
        TeacherQuery(("c",), 3, frozenset("h")),
        TeacherQuery(("c",), 3, mask_seen=False),
    ],
)
async def test_another_query_is_asked(slow_path: SlowPath, other: TeacherQuery) -> None:
    await slow_path.recommend(QUESTION)
    assert not (await slow_path.recommend(other)).cached


async def test_cached_answers_of_a_replaced_teacher_are_unused_once_the_new_one_has_answered(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    await slow_path.recommend(QUESTION)
    ring_teacher.version = "2"
    assert (await slow_path.recommend(QUESTION)).cached
    await slow_path.recommend(TeacherQuery(("d",), 3))
    assert not (await slow_path.recommend(QUESTION)).cached


async def test_a_failure_is_not_cached(slow_path: SlowPath, ring_teacher: "RingTeacher") -> None:
    ring_teacher.failure = Response(status_code=500)
    with pytest.raises(TeacherLostError):
        await slow_path.recommend(QUESTION)
    ring_teacher.failure = None
    assert (await slow_path.recommend(QUESTION)).answer.item_ids == ["b", "a", "h"]


async def test_a_teacher_that_keeps_failing_is_asked_again_after_the_pause(
    slow_path: SlowPath, ring_teacher: "RingTeacher", time: list[float]
) -> None:
    await lose(ring_teacher, slow_path)
    assert slow_path.is_lost
    ring_teacher.failure = None
    with pytest.raises(TeacherLostError, match="failed repeatedly"):
        await slow_path.recommend(QUESTION)
    time[0] = PAUSE_SECONDS
    assert not (await slow_path.recommend(QUESTION)).cached
    assert not slow_path.is_lost


async def test_one_request_at_a_time_tries_a_lost_teacher_however_long_it_takes(
    slow_path: SlowPath, ring_teacher: "RingTeacher", time: list[float]
) -> None:
    await lose(ring_teacher, slow_path)
    ring_teacher.failure, ring_teacher.free = None, anyio.Event()
    ring_teacher.asked.clear()
    time[0] = PAUSE_SECONDS
    trying = asyncio.create_task(slow_path.recommend(QUESTION))
    await until_asked(ring_teacher)
    time[0] = 10 * PAUSE_SECONDS
    with pytest.raises(TeacherLostError, match="failed repeatedly"):
        await slow_path.recommend(TeacherQuery(("d",), 1))
    ring_teacher.free.set()
    await trying
    assert not slow_path.is_lost


async def test_a_trial_that_fails_starts_another_pause(
    slow_path: SlowPath, ring_teacher: "RingTeacher", time: list[float]
) -> None:
    await lose(ring_teacher, slow_path)
    ring_teacher.asked.clear()
    time[0] = PAUSE_SECONDS
    for _ in range(3):
        with pytest.raises(TeacherLostError):
            await slow_path.recommend(QUESTION)
    assert len(ring_teacher.asked) == 1


async def test_its_state_is_that_of_its_last_answer(
    slow_path: SlowPath, ring_teacher: "RingTeacher", time: list[float]
) -> None:
    states: list[str] = [slow_path.state]
    await lose(ring_teacher, slow_path)
    states.append(slow_path.state)
    ring_teacher.failure, time[0] = None, PAUSE_SECONDS
    await slow_path.embed(["d"])
    states.append(slow_path.state)
    assert states == ["configured", "lost", "connected"]


async def test_the_same_query_at_the_same_moment_is_asked_once(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    """The client would refuse the third of three requests at once."""
    ring_teacher.free = anyio.Event()
    asking = [asyncio.create_task(slow_path.recommend(QUESTION)) for _ in range(12)]
    await until_asked(ring_teacher)
    ring_teacher.free.set()
    told = await asyncio.gather(*asking)
    assert {tuple(each.answer.item_ids) for each in told} == {("b", "a", "h")}
    assert {each.cached for each in told} == {False}
    assert len(ring_teacher.asked) == 1


async def test_a_cancelled_caller_leaves_the_others_their_answer(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.free = anyio.Event()
    leaving, staying = (asyncio.create_task(slow_path.recommend(QUESTION)) for _ in range(2))
    await until_asked(ring_teacher)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    ring_teacher.free.set()
    assert (await staying).answer.item_ids == ["b", "a", "h"]
    assert len(ring_teacher.asked) == 1


async def test_a_failure_that_is_shared_counts_once(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.failure = Response(status_code=500)
    asking = [slow_path.recommend(QUESTION) for _ in range(12)]
    failures = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(each) for each in failures} == {TeacherLostError}
    assert (len(ring_teacher.asked), slow_path.is_lost) == (1, False)


async def test_closing_cancels_running_queries(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.free = anyio.Event()
    asking = asyncio.create_task(slow_path.recommend(QUESTION))
    await until_asked(ring_teacher)
    await slow_path.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def until_asked(teacher: "RingTeacher") -> None:
    while not teacher.asked:
        await anyio.sleep(0)


async def test_cached_answers_of_a_lost_teacher_are_still_used(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    await slow_path.recommend(QUESTION)
    await lose(ring_teacher, slow_path)
    assert (await slow_path.recommend(QUESTION)).cached


async def test_refusals_do_not_make_a_teacher_lost(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.failure = Response(status_code=422)
    for _ in range(6):
        with pytest.raises(TeacherUnavailableError, match="refuses"):
            await slow_path.recommend(QUESTION)
    assert not slow_path.is_lost


@pytest.mark.parametrize("answer", [Response(status_code=422), BUSY], ids=["unwilling", "busy"])
async def test_a_lost_teacher_that_refuses_is_back(
    slow_path: SlowPath, ring_teacher: "RingTeacher", time: list[float], answer: Response
) -> None:
    await lose(ring_teacher, slow_path)
    ring_teacher.failure = answer
    time[0] = PAUSE_SECONDS

    with pytest.raises(TeacherRefusalError):
        await slow_path.recommend(QUESTION)

    assert not slow_path.is_lost


async def test_titles_are_embedded_behind_the_same_breaker(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    assert await slow_path.embed(["d"]) == [[0, 0, 0, 1, 0, 0, 0, 0]]
    await lose(ring_teacher, slow_path)
    with pytest.raises(TeacherLostError, match="failed repeatedly"):
        await slow_path.embed(["Up"])
