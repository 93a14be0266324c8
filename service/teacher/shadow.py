"""Shadow traffic: a random share of queries is also sent to the teacher, to measure agreement.

The student's answer is sent to the client as usual. The comparison runs in the background, so that
no request waits for it or fails because of it. If the teacher is too slow for the sampled queries,
some of them are not compared. Neither is a query for which the teacher would have to leave out a
large part of the catalog.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from service.errors import TeacherUnavailableError
from service.low_priority import LowPriorityThreads
from service.ranking.recommender import Query, Recommendations, Recommender
from service.teacher.agreement import agreement
from service.teacher.answering import ask_teacher, num_denied, teacher_query_for
from service.teacher.client import TeacherQuery
from service.teacher.slow_path import SlowPath

logger = logging.getLogger(__name__)

_MAX_WAITING = 64  # maximum number of sampled answers that wait for the teacher

MAX_DENIED = 20_000
"""Maximum number of items that filters and hidden items leave out of a query that is compared.

The teacher gets the id of each, and in a large catalog each is read from a file.
"""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A sampled query, the student's answer to it, and the recommender that answered."""

    recommender: Recommender
    query: Query
    answer: Recommendations


class Shadow:
    """Samples the student's answers (`offer`) and compares them with the teacher's (`run`).

    Each comparison passes the overlap@k of the two lists to `observe`, or calls `count_failure`.
    """

    def __init__(
        self,
        teacher: SlowPath,
        share: float,
        observe: Callable[[float], None],
        count_failure: Callable[[], None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Makes an empty queue of sampled answers.

        Args:
            teacher: the slow path that asks the teacher.
            share: probability of sampling an answer, in [0, 1].
            observe: called with the overlap@k of each comparison, in [0, 1].
            count_failure: called for each query that the teacher did not answer.
            draw: returns a random number in [0, 1); tests pass their own.
        """
        self._teacher = teacher
        self._share = share
        self._observe = observe
        self._count_failure = count_failure
        self._draw = draw
        self._waiting: asyncio.Queue[Sampled] = asyncio.Queue(_MAX_WAITING)
        self._threads = LowPriorityThreads(1)

    def offer(self, recommender: Recommender, query: Query, answer: Recommendations) -> None:
        """Queues an answer of the student for comparison with probability `share`.

        Never waits: if the queue is full, the answer is dropped. An answer whose source is not the
        student is ignored.
        """
        if answer.source == "student" and self._draw() < self._share:
            with suppress(asyncio.QueueFull):
                self._waiting.put_nowait(Sampled(recommender, query, answer))

    async def run(self) -> None:
        """Compares queued answers with the teacher's, one by one, until cancelled.

        If a comparison fails, logs the error and goes on. Answers that are still queued at the end
        are not compared.
        """
        while True:
            sampled = await self._waiting.get()
            try:
                await self._compare(sampled)
            except TeacherUnavailableError as error:
                self._count_failure()
                logger.info("shadow: the teacher does not answer: %s", error)
            except Exception:
                logger.exception("shadow: comparison failed")

    async def _compare(self, sampled: Sampled) -> None:
        recommender, query = sampled.recommender, sampled.query
        teacher_query = await self._threads.run(_teacher_query, recommender, query)
        if teacher_query is None:
            return
        teacher = await ask_teacher(self._teacher, recommender, query, teacher_query)
        result = agreement(sampled.answer.item_ids, teacher.recommendations.item_ids)
        self._observe(result.overlap)
        logger.info(
            "shadow: overlap@%d %.3f, rank correlation %.3f",
            sampled.query.k,
            result.overlap,
            result.rank_correlation,
        )


def _teacher_query(recommender: Recommender, query: Query) -> TeacherQuery | None:
    """Turns a query into one for the teacher; None if more than MAX_DENIED items are left out."""
    if num_denied(recommender, query) > MAX_DENIED:
        return None
    return teacher_query_for(recommender, query)
