"""The teacher as the routes see it: a client behind a breaker, with answers kept."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.breaker import CircuitBreaker
from service.errors import TeacherLostError
from service.teacher.cache import RecentAnswers
from service.teacher.client import TeacherAnswer, TeacherClient, TeacherQuestion


@dataclass(frozen=True, slots=True)
class Told:
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
        self._breaker = CircuitBreaker("the teacher", TeacherLostError, pause_seconds, clock)
        self._version = ""

    @property
    def is_lost(self) -> bool:
        """Whether the teacher is left alone."""
        return self._breaker.is_open

    async def recommend(self, question: TeacherQuestion) -> Told:
        """The teacher's next items.

        Raises:
            TeacherUnavailableError: it does not answer this request.
        """
        # The version is the last one heard of: answers of a teacher that was replaced are found
        # until the new one speaks for the first time, or their time is up.
        known = self._answers.find((self._version, question))
        if known:
            return Told(known, cached=True)
        answer = await self._breaker.ask(lambda: self._client.recommend(question))
        self._version = answer.teacher_version
        self._answers.keep((self._version, question), answer)
        return Told(answer, cached=False)

    async def embed(self, titles: Sequence[str]) -> Sequence[Sequence[float]]:
        """The teacher's embeddings of `titles`.

        Raises:
            TeacherUnavailableError: it does not answer this request.
        """
        return (await self._breaker.ask(lambda: self._client.embed(titles))).embeddings

    async def close(self) -> None:
        """Lets go of connections."""
        await self._client.close()
