"""Shadow mode: a share of the student's answers is put to the teacher too, in the background.

Nothing waits for it and nothing fails with it: what the teacher cannot keep up with is dropped.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from service.errors import TeacherUnavailableError
from service.teacher.agreement import agreement
from service.teacher.client import TeacherQuestion
from service.teacher.slow_path import SlowPath

logger = logging.getLogger(__name__)

_MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class StudentAnswer:
    """What the student answered, and to what."""

    question: TeacherQuestion
    item_ids: Sequence[str]


class Shadow:
    """Samples answers and logs how far the teacher agrees; runs while its context is open."""

    def __init__(
        self, teacher: SlowPath, share: float, draw: Callable[[], float] = random.random
    ) -> None:
        self._teacher = teacher
        self._share = share
        self._draw = draw
        self._waiting: asyncio.Queue[StudentAnswer] = asyncio.Queue(_MAX_WAITING)

    def offer(self, answer: StudentAnswer) -> None:
        """Maybe has `answer` compared later; never waits."""
        if self._draw() < self._share:
            with suppress(asyncio.QueueFull):
                self._waiting.put_nowait(answer)

    async def __aenter__(self) -> Self:
        """Starts comparing."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops; what still waits is dropped."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            answer = await self._waiting.get()
            try:
                await self._compare(answer)
            except TeacherUnavailableError as error:
                logger.info("shadow: the teacher does not answer: %s", error)
            except Exception:
                logger.exception("shadow: this answer is not compared")

    async def _compare(self, answer: StudentAnswer) -> None:
        told = await self._teacher.recommend(answer.question)
        agreed = agreement(answer.item_ids, told.answer.item_ids)
        logger.info(
            "shadow: overlap@%d %.3f, rank correlation %.3f",
            len(answer.item_ids),
            agreed.overlap,
            agreed.rank_correlation,
        )
