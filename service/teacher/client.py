"""The HTTP client of the teacher's server (`python -m training.serve_teacher`)."""

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
"""A number of an embedding: finite, and small enough to be finite in 32 bits."""

_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_JSON = {"Content-Type": "application/json"}
_MAX_REASON_LENGTH = 500  # characters of a refusal that are reported


@dataclass(frozen=True, slots=True)
class TeacherQuery:
    """A query for the teacher: item ids, the history oldest first."""

    history: tuple[str, ...]
    k: int
    exclude: frozenset[str] = frozenset()
    mask_seen: bool = True

    @property
    def key(self) -> Hashable:
        """A short key for the cache.

        It has number and hash of the excluded ids, which may be most of a catalog.
        """
        return self.history, self.k, len(self.exclude), hash(self.exclude), self.mask_seen


class _Answer(BaseModel):
    """Base of the teacher's answers; fields that the service does not use are ignored."""

    model_config = ConfigDict(frozen=True)

    teacher_version: str


class TeacherAnswer(_Answer):
    """Item ids, nearest first, and their distances; `generated_text` of a generative teacher."""

    item_ids: Sequence[str]
    distances: Sequence[float]
    generated_text: str | None = None

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.item_ids) != len(self.distances):
            raise ValueError(f"{len(self.item_ids)} item_ids but {len(self.distances)} distances")
        return self


class TeacherEmbeddings(_Answer):
    """An embedding for each title, in their order."""

    embeddings: Sequence[Sequence[EmbeddingNumber]]


AnyAnswer = TypeVar("AnyAnswer", bound=_Answer)


class TeacherClient:
    """A client of one teacher server; limits the requests at once and the time of each."""

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float,
        concurrency: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # `_send` limits the whole call; a timeout of httpx would start again with each read.
        self._http = httpx.AsyncClient(base_url=url, timeout=None, transport=transport)  # noqa: S113
        self._deadline_seconds = deadline_seconds
        self._slots = asyncio.Semaphore(concurrency)

    async def recommend(self, query: TeacherQuery) -> TeacherAnswer:
        """Returns items that the query allows, each once, with distances; nearest first.

        There may be more than `k`, because the catalog may not have all of them.

        Raises:
            TeacherUnavailableError: the teacher is busy or refuses.
            TeacherLostError: the teacher is late, fails or cannot be reached.
        """
        body = {
            "history": query.history,
            "k": query.k,
            "exclude": list(query.exclude),
            "mask_seen": query.mask_seen,
        }
        answer = await self._post("/recommendations", body, TeacherAnswer)
        usable = _usable(answer, query)
        if answer.item_ids and not usable.item_ids:
            raise TeacherLostError(f"none of {len(answer.item_ids)} items can be used")
        return usable

    async def embed(self, titles: Sequence[str]) -> TeacherEmbeddings:
        """Returns the embeddings of `titles`; raises as `recommend` does."""
        answer = await self._post("/embeddings", {"titles": titles}, TeacherEmbeddings)
        if len(answer.embeddings) != len(titles):
            raise TeacherLostError(f"{len(answer.embeddings)} embeddings of {len(titles)} titles")
        return answer

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _post(
        self, path: str, body: Mapping[str, object], kind: type[AnyAnswer]
    ) -> AnyAnswer:
        if self._slots.locked():  # waiting would only be slower than the student
            raise TeacherUnavailableError("the teacher is busy")
        async with self._slots:
            response = await self._send(path, body)
        if response.status_code in _BUSY and "Retry-After" in response.headers:
            raise TeacherRefusalError("the teacher is busy")
        if response.is_client_error:
            raise TeacherRefusalError(f"the teacher refuses: {response.text[:_MAX_REASON_LENGTH]}")
        if not response.is_success:  # without the address, which may hold a password
            raise TeacherLostError(f"{path}: status {response.status_code}")
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise TeacherLostError(f"{path}: {error}") from error

    async def _send(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                # orjson, because the excluded ids may be most of a catalog.
                return await self._http.post(path, content=orjson.dumps(body), headers=_JSON)
        except TimeoutError as error:
            raise TeacherLostError(f"no answer within {self._deadline_seconds} s") from error
        except httpx.HTTPError as error:
            raise TeacherLostError(f"{path}: {error!r}") from error


def _usable(answer: TeacherAnswer, query: TeacherQuery) -> TeacherAnswer:
    """Drops items that are excluded or repeated, or whose distance is not finite."""
    distances: dict[str, float] = {}
    seen = frozenset(query.history if query.mask_seen else ())
    for item_id, distance in zip(answer.item_ids, answer.distances, strict=True):
        is_forbidden = item_id in seen or item_id in query.exclude
        if math.isfinite(distance) and not is_forbidden:
            distances.setdefault(item_id, distance)
    used = {"item_ids": list(distances), "distances": list(distances.values())}
    return answer.model_copy(update=used)
