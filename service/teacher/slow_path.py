"""The teacher as the routes see it: a client behind a breaker, with answers kept and shared."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.circuit_breaker import CircuitBreaker
from service.errors import TeacherLostError, TeacherRefusalError
from service.teacher.cache import RecentAnswers
from service.teacher.client import TeacherAnswer, TeacherClient, TeacherQuery

_FAILURES_TO_PAUSE = 2  # each may have taken the whole deadline, and the student stands in


@dataclass(frozen=True, slots=True)
class TeacherResult:
    """What the teacher told; `cached` if it told it earlier."""

    answer: TeacherAnswer
    cached: bool


class SlowPath:
    """Asks the teacher, or remembers what it answered."""

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
            refusal=TeacherRefusalError,
            patience=_FAILURES_TO_PAUSE,
            pause_seconds=pause_seconds,
            clock=clock,
        )
        self._version = ""
        self._under_way: dict[TeacherQuery, asyncio.Task[TeacherAnswer]] = {}

    @property
    def state(self) -> Literal["configured", "connected", "lost"]:
        """What is known of the teacher: nothing until it has answered once."""
        if self.is_lost:
            return "lost"
        return "connected" if self._version else "configured"

    @property
    def is_lost(self) -> bool:
        """Whether the teacher is left alone."""
        return self._breaker.is_open

    async def recommend(self, question: TeacherQuery) -> TeacherResult:
        """The teacher's next items; who asks the same at the same moment shares one answer.

        Raises:
            TeacherUnavailableError: it does not answer this request.
        """
        # The version is the last one heard of: answers of a teacher that was replaced are found
        # until the new one speaks for the first time, or their time is up.
        known = self._answers.find((self._version, question.key))
        if known:
            return TeacherResult(known, cached=True)
        # Whoever leaves takes nothing from the others.
        return TeacherResult(await asyncio.shield(self._asking(question)), cached=False)

    async def embed(self, titles: Sequence[str]) -> Sequence[Sequence[float]]:
        """The teacher's embeddings of `titles`.

        Raises:
            TeacherUnavailableError: it does not answer this request.
        """
        answer = await self._breaker.ask(lambda: self._client.embed(titles))
        self._version = answer.teacher_version
        return answer.embeddings

    async def close(self) -> None:
        """Ends what is under way and lets go of connections."""
        asking = list(self._under_way.values())
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._client.close()

    def _asking(self, question: TeacherQuery) -> asyncio.Task[TeacherAnswer]:
        asking = self._under_way.get(question)
        if asking is None:
            asking = asyncio.create_task(self._ask(question))
            self._under_way[question] = asking
            asking.add_done_callback(lambda done: self._end(question, done))
        return asking

    async def _ask(self, question: TeacherQuery) -> TeacherAnswer:
        answer = await self._breaker.ask(lambda: self._client.recommend(question))
        self._version = answer.teacher_version
        self._answers.keep((self._version, question.key), answer)
        return answer

    def _end(self, question: TeacherQuery, asked: asyncio.Task[TeacherAnswer]) -> None:
        del self._under_way[question]
        if not asked.cancelled():
            asked.exception()  # asyncio complains of one that nobody waited for
