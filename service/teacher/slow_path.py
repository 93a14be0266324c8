"""The slow path: answers queries from a cache, or by the teacher behind a circuit breaker."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.circuit_breaker import CircuitBreaker
from service.errors import TeacherLostError, TeacherRefusalError
from service.teacher.cache import RecentAnswers
from service.teacher.client import TeacherAnswer, TeacherClient, TeacherQuery

# Failures in a row after which the teacher is not asked for a pause. Only a few, because each may
# take the whole deadline, and the student can answer instead.
_FAILURES_TO_PAUSE = 2


@dataclass(frozen=True, slots=True)
class TeacherResult:
    """An answer of the teacher, and whether it comes from the cache."""

    answer: TeacherAnswer
    cached: bool


class SlowPath:
    """Answers queries from a cache if it has the answer, else by the teacher.

    Equal queries that are in progress at the same time share one request to the teacher. After
    repeated failures of the teacher, the circuit breaker makes requests fail at once for some time.
    """

    def __init__(
        self,
        client: TeacherClient,
        answers: RecentAnswers[TeacherAnswer],
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._answers = answers
        self._breaker = CircuitBreaker(
            "the teacher",
            TeacherLostError,
            answers=(TeacherRefusalError,),
            max_failures=_FAILURES_TO_PAUSE,
            pause_seconds=pause_seconds,
            clock=clock,
        )
        self._version = ""
        self._running: dict[TeacherQuery, asyncio.Task[TeacherAnswer]] = {}

    @property
    def state(self) -> Literal["configured", "connected", "lost"]:
        """State of the teacher, as far as this worker knows.

        `configured`: the teacher has not answered yet. `connected`: it has answered. `lost`: it
        failed repeatedly, so that the circuit breaker is open.
        """
        if self.is_lost:
            return "lost"
        return "connected" if self._version else "configured"

    @property
    def is_lost(self) -> bool:
        """Whether the circuit breaker is open: the teacher failed repeatedly and is not asked."""
        return self._breaker.is_open

    async def recommend(self, query: TeacherQuery) -> TeacherResult:
        """Returns the teacher's answer to `query`, from the cache if the cache has it.

        Raises:
            TeacherUnavailableError: the circuit breaker is open, or the teacher is busy, refuses,
                fails or is late.
        """
        # `_version` is the teacher version of the last answer. After a teacher is replaced, cached
        # answers of the old one are used until the new one has answered once or their TTL is over.
        cached = self._answers.find((self._version, query.key))
        if cached:
            return TeacherResult(cached, cached=True)
        # Shielded, so that a cancelled caller does not cancel the others that share the answer.
        return TeacherResult(await asyncio.shield(self._task_for(query)), cached=False)

    async def embed(self, titles: Sequence[str]) -> Sequence[Sequence[float]]:
        """Returns the teacher's embeddings of `titles`, `[titles, embedding_size]`; never cached.

        Raises:
            TeacherUnavailableError: the circuit breaker is open, or the teacher is busy, refuses,
                fails or is late.
        """
        answer = await self._breaker.call(lambda: self._client.embed(titles))
        self._version = answer.teacher_version
        return answer.embeddings

    async def close(self) -> None:
        """Cancels the queries in progress and closes the connections to the teacher."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    def _task_for(self, query: TeacherQuery) -> asyncio.Task[TeacherAnswer]:
        """Returns the running task that asks the teacher for `query`; starts one if none runs."""
        task = self._running.get(query)
        if task is None:
            task = asyncio.create_task(self._ask(query))
            self._running[query] = task
            task.add_done_callback(lambda done: self._end(query, done))
        return task

    async def _ask(self, query: TeacherQuery) -> TeacherAnswer:
        answer = await self._breaker.call(lambda: self._client.recommend(query))
        self._version = answer.teacher_version
        self._answers.store((self._version, query.key), answer)
        return answer

    def _end(self, query: TeacherQuery, task: asyncio.Task[TeacherAnswer]) -> None:
        del self._running[query]
        if not task.cancelled():
            task.exception()  # retrieved, because otherwise asyncio logs it if no caller is left
