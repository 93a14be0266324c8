"""Speaking to the teacher's server (`python -m training.serve_teacher`)."""

import asyncio
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Self, TypeVar

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.errors import TeacherLostError, TeacherRefusalError, TeacherUnavailableError

EmbeddingNumber = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
"""A number of an embedding: finite, and small enough to stay so in 32 bits."""

_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_JSON = {"Content-Type": "application/json"}
_MOST_WORDS = 500  # of a refusal, in characters


@dataclass(frozen=True, slots=True)
class TeacherQuery:
    """What the teacher is asked: item ids, the history oldest first."""

    history: tuple[str, ...]
    k: int
    exclude: frozenset[str] = frozenset()
    mask_seen: bool = True

    @property
    def key(self) -> Hashable:
        """What stands for it while its answer is kept: the excluded may be most of a catalog."""
        return self.history, self.k, len(self.exclude), hash(self.exclude), self.mask_seen


class _Answer(BaseModel):
    """Only what is used here is looked at."""

    model_config = ConfigDict(frozen=True)

    teacher_version: str


class TeacherAnswer(_Answer):
    """Item ids, nearest first, and their distances; `generated_text` if the teacher writes."""

    item_ids: Sequence[str]
    distances: Sequence[float]
    generated_text: str | None = None

    @model_validator(mode="after")
    def _a_distance_for_each_item(self) -> Self:
        if len(self.item_ids) != len(self.distances):
            raise ValueError(f"{len(self.item_ids)} items, {len(self.distances)} distances")
        return self


class TeacherEmbeddings(_Answer):
    """One embedding for each title."""

    embeddings: Sequence[Sequence[EmbeddingNumber]]


AnyAnswer = TypeVar("AnyAnswer", bound=_Answer)


class TeacherClient:
    """One teacher server, asked by at most `concurrency` requests at once, each with a deadline."""

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float,
        concurrency: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # The deadline is of the whole call; httpx would time each read anew.
        self._http = httpx.AsyncClient(base_url=url, timeout=None, transport=transport)  # noqa: S113
        self._deadline_seconds = deadline_seconds
        self._slots = asyncio.Semaphore(concurrency)

    async def recommend(self, question: TeacherQuery) -> TeacherAnswer:
        """Items that the question allows, each once, and their distances; nearest first.

        More than `k` of them if the teacher tells more: not all may be known here.

        Raises:
            TeacherUnavailableError: busy or unwilling.
            TeacherLostError: late, failing or not there.
        """
        body = {
            "history": question.history,
            "k": question.k,
            "exclude": list(question.exclude),
            "mask_seen": question.mask_seen,
        }
        answer = await self._post("/recommendations", body, TeacherAnswer)
        usable = _usable(answer, question)
        if answer.item_ids and not usable.item_ids:
            raise TeacherLostError(f"none of {len(answer.item_ids)} items can be used")
        return usable

    async def embed(self, titles: Sequence[str]) -> TeacherEmbeddings:
        """The embeddings of `titles`; raises as `recommend` does."""
        answer = await self._post("/embeddings", {"titles": titles}, TeacherEmbeddings)
        if len(answer.embeddings) != len(titles):
            raise TeacherLostError(f"{len(answer.embeddings)} embeddings of {len(titles)} titles")
        return answer

    async def close(self) -> None:
        """Lets go of connections."""
        await self._http.aclose()

    async def _post(
        self, path: str, body: Mapping[str, object], kind: type[AnyAnswer]
    ) -> AnyAnswer:
        if self._slots.locked():  # who waits here would only be later: the student is faster
            raise TeacherUnavailableError("the teacher is busy")
        async with self._slots:
            response = await self._send(path, body)
        if response.status_code in _BUSY and "Retry-After" in response.headers:
            raise TeacherRefusalError("the teacher is busy")
        if response.is_client_error:
            raise TeacherRefusalError(f"the teacher refuses: {response.text[:_MOST_WORDS]}")
        if not response.is_success:  # its address, which may hold a password, is nobody's business
            raise TeacherLostError(f"{path}: status {response.status_code}")
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise TeacherLostError(f"{path}: {error}") from error

    async def _send(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                # orjson: what filters leave out may be most of a catalog.
                return await self._http.post(path, content=orjson.dumps(body), headers=_JSON)
        except TimeoutError as error:
            raise TeacherLostError(f"no answer within {self._deadline_seconds} s") from error
        except httpx.HTTPError as error:
            raise TeacherLostError(f"{path}: {error!r}") from error


def _usable(answer: TeacherAnswer, question: TeacherQuery) -> TeacherAnswer:
    """What the teacher should have told: finite distances, each item once, none forbidden."""
    distances: dict[str, float] = {}
    seen = frozenset(question.history if question.mask_seen else ())
    for item_id, distance in zip(answer.item_ids, answer.distances, strict=True):
        is_forbidden = item_id in seen or item_id in question.exclude
        if math.isfinite(distance) and not is_forbidden:
            distances.setdefault(item_id, distance)
    used = {"item_ids": list(distances), "distances": list(distances.values())}
    return answer.model_copy(update=used)
