import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import pytest
from fastapi import Response

from service.teacher.client import TeacherQuestion
from service.teacher.shadow import Shadow, StudentAnswer
from service.teacher.slow_path import SlowPath

if TYPE_CHECKING:
    from tests.service.teacher.conftest import RingTeacher

pytestmark = pytest.mark.anyio

ANSWER = StudentAnswer(TeacherQuestion(("c",), 2, frozenset("h")), item_ids=["d", "b"])


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.sleep(0.001)


async def test_what_the_teacher_says_to_a_sampled_answer_is_logged(
    slow_path: SlowPath, ring_teacher: "RingTeacher", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.teacher.shadow")
    async with Shadow(slow_path, share=1) as shadow:
        shadow.offer(ANSWER)
        await until(lambda: bool(caplog.records))
    assert ring_teacher.asked == [{"history": ["c"], "k": 2, "exclude": ["h"], "mask_seen": True}]
    # The teacher answers b, a: of the three pairs the two lists agree in ab alone.
    assert caplog.messages == ["shadow: overlap@2 0.500, rank correlation -0.333"]


async def test_only_the_share_is_sampled(slow_path: SlowPath, ring_teacher: "RingTeacher") -> None:
    draws = iter([0.24, 0.25, 0.1])
    async with Shadow(slow_path, share=0.25, draw=lambda: next(draws)) as shadow:
        for item_id in "bcd":
            shadow.offer(StudentAnswer(TeacherQuestion((item_id,), 1), ["a"]))
        await until(lambda: len(ring_teacher.asked) == 2)
    assert [each["history"] for each in ring_teacher.asked] == [["b"], ["d"]]


async def test_what_the_teacher_cannot_keep_up_with_is_dropped(
    slow_path: SlowPath, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.free = anyio.Event()
    async with Shadow(slow_path, share=1) as shadow:
        for _ in range(1000):
            shadow.offer(ANSWER)
        assert len(ring_teacher.asked) <= 1


async def test_a_failing_teacher_does_not_stop_the_shadow(
    slow_path: SlowPath, ring_teacher: "RingTeacher", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.teacher.shadow")
    ring_teacher.failure = Response(status_code=500)
    async with Shadow(slow_path, share=1) as shadow:
        shadow.offer(ANSWER)
        await until(lambda: bool(caplog.records))
        ring_teacher.failure = None
        shadow.offer(ANSWER)
        await until(lambda: len(caplog.records) == 2)
    assert "does not answer" in caplog.messages[0]
    assert "overlap@2" in caplog.messages[1]
