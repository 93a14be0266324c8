"""Shadow mode: a share of the student's answers is put to the teacher too, in the background.

Nothing waits for it and nothing fails with it: what the teacher cannot keep up with is dropped.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from service.errors import TeacherUnavailableError
from service.ranking.recommender import Query, Recommendations, Recommender
from service.teacher.agreement import agreement
from service.teacher.answering import ask_teacher
from service.teacher.slow_path import SlowPath

logger = logging.getLogger(__name__)

_MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer of the student, and what was asked."""

    recommender: Recommender
    wanted: Query
    answer: Recommendations


class Shadow:
    """Samples answers and logs how far the teacher agrees, while `run` runs."""

    def __init__(
        self,
        teacher: SlowPath,
        share: float,
        observe: Callable[[float], None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`observe` is told the overlap of each answer that was compared."""
        self._teacher = teacher
        self._share = share
        self._observe = observe
        self._draw = draw
        self._waiting: asyncio.Queue[Sampled] = asyncio.Queue(_MAX_WAITING)

    def offer(self, recommender: Recommender, wanted: Query, answer: Recommendations) -> None:
        """Maybe has `answer`, if it is the student's, compared later; never waits."""
        if answer.source == "student" and self._draw() < self._share:
            with suppress(asyncio.QueueFull):
                self._waiting.put_nowait(Sampled(recommender, wanted, answer))

    async def run(self) -> None:
        """Compares until cancelled; what still waits then is dropped."""
        while True:
            sampled = await self._waiting.get()
            try:
                await self._compare(sampled)
            except TeacherUnavailableError as error:
                logger.info("shadow: the teacher does not answer: %s", error)
            except Exception:
                logger.exception("shadow: this answer is not compared")

    async def _compare(self, sampled: Sampled) -> None:
        teacher = await ask_teacher(self._teacher, sampled.recommender, sampled.wanted)
        agreed = agreement(sampled.answer.item_ids, teacher.recommendations.item_ids)
        self._observe(agreed.overlap)
        logger.info(
            "shadow: overlap@%d %.3f, rank correlation %.3f",
            sampled.wanted.k,
            agreed.overlap,
            agreed.rank_correlation,
        )
