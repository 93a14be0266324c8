"""The HTTP client of the teacher's server (`python -m training.serve_teacher`)."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Self, TypeVar

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.errors import TeacherLostError, TeacherRefusalError, TeacherUnavailableError

EmbeddingNumber = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
"""One number of an embedding, from -1e9 to 1e9, so that its float32 value is finite."""

_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_JSON = {"Content-Type": "application/json"}
_KEY_BYTES = 32
_MAX_REASON_LENGTH = 500  # maximum number of characters of a refusal in an error message


@dataclass(frozen=True, slots=True)
class TeacherQuery:
    """A query for the teacher, in item ids.

    There are no attribute filters, since the teacher knows no attributes.

    Attributes:
        history: item ids, oldest first.
        k: number of items to recommend.
        exclude: ids of items that must not be recommended.
        mask_seen: whether the items of `history` must not be recommended.
    """

    history: tuple[str, ...]
    k: int
    exclude: frozenset[str] = frozenset()
    mask_seen: bool = True

    @property
    def key(self) -> bytes:
        """Key of the query in the cache of answers: a digest, since a history has up to 250 KB.

        Of the excluded ids it has the number and the hash only, which Python keeps with each id,
        because almost the whole catalog can be excluded.
        """
        excluded = len(self.exclude), hash(self.exclude)
        parts = orjson.dumps((self.history, self.k, *excluded, self.mask_seen))
        return blake2b(parts, digest_size=_KEY_BYTES).digest()


class _Answer(BaseModel):
    """Base class of the teacher's answers; ignores fields of the JSON that are not declared.

    `teacher_version` identifies the teacher that answered.
    """

    model_config = ConfigDict(frozen=True)

    teacher_version: str


class TeacherAnswer(_Answer):
    """The teacher's ranking list for a query.

    Attributes:
        item_ids: item ids, nearest first.
        distances: the distance of each item in `item_ids`; lower is nearer.
        generated_text: the title that a generative teacher wrote; None for other teachers.
    """

    item_ids: Sequence[str]
    distances: Sequence[float]
    generated_text: str | None = None

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.item_ids) != len(self.distances):
            raise ValueError(f"{len(self.item_ids)} item_ids but {len(self.distances)} distances")
        return self


class TeacherEmbeddings(_Answer):
    """The teacher's embeddings of titles, one per title of the request, in the same order.

    `embeddings` is `[titles, embedding_size]`.
    """

    embeddings: Sequence[Sequence[EmbeddingNumber]]


AnyAnswer = TypeVar("AnyAnswer", bound=_Answer)


class TeacherClient:
    """An HTTP client of one teacher server, with a deadline per request.

    A request that exceeds the limit of simultaneous requests fails at once.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float,
        concurrency: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # Without httpx's timeout, which starts again with each read: `_send` limits the whole call.
        self._http = httpx.AsyncClient(base_url=url, timeout=None, transport=transport)  # noqa: S113
        self._deadline_seconds = deadline_seconds
        self._slots = asyncio.Semaphore(concurrency)

    async def recommend(self, query: TeacherQuery) -> TeacherAnswer:
        """Asks the teacher for recommendations; returns its answer without unusable items.

        An item is unusable if `exclude` or `mask_seen` forbids it, if it is repeated, or if its
        distance is not finite. More than `k` items can be left, so that `k` remain when the caller
        has dropped those that the catalog lacks.

        Raises:
            TeacherUnavailableError: too many requests of this client are in progress.
            TeacherRefusalError: the teacher is busy or refuses the request.
            TeacherLostError: the teacher is late, fails or cannot be reached, its answer is
                malformed, or all of its items are unusable.
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
            raise TeacherLostError(
                f"none of {len(answer.item_ids)} items can be used: all are excluded, or have a "
                "distance that is not finite"
            )
        return usable

    async def embed(self, titles: Sequence[str]) -> TeacherEmbeddings:
        """Asks the teacher to embed `titles`; returns one embedding per title, in their order.

        Raises:
            TeacherUnavailableError: too many requests of this client are in progress.
            TeacherRefusalError: the teacher is busy or refuses the request.
            TeacherLostError: the teacher is late, fails or cannot be reached, or its answer is
                malformed.
        """
        answer = await self._post("/embeddings", {"titles": titles}, TeacherEmbeddings)
        if len(answer.embeddings) != len(titles):
            raise TeacherLostError(f"{len(answer.embeddings)} embeddings for {len(titles)} titles")
        return answer

    async def close(self) -> None:
        """Closes the connections to the teacher."""
        await self._http.aclose()

    async def _post(
        self, path: str, body: Mapping[str, object], kind: type[AnyAnswer]
    ) -> AnyAnswer:
        if self._slots.locked():  # not waited for: the student answers sooner
            raise TeacherUnavailableError("the teacher is busy")
        async with self._slots:
            response = await self._send(path, body)
        if response.status_code in _BUSY and "Retry-After" in response.headers:
            raise TeacherRefusalError("the teacher is busy")
        if response.is_client_error:
            raise TeacherRefusalError(f"the teacher refuses: {response.text[:_MAX_REASON_LENGTH]}")
        if not response.is_success:  # the message omits the address, which may contain a password
            raise TeacherLostError(f"{path}: status {response.status_code}")
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise TeacherLostError(f"{path}: {error}") from error

    async def _send(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                # Encoded by orjson, which is fast: a whole catalog of ids may be excluded.
                return await self._http.post(path, content=orjson.dumps(body), headers=_JSON)
        except TimeoutError as error:
            raise TeacherLostError(f"no answer within {self._deadline_seconds} s") from error
        except httpx.HTTPError as error:
            raise TeacherLostError(f"{path}: {error!r}") from error


def _usable(answer: TeacherAnswer, query: TeacherQuery) -> TeacherAnswer:
    """Returns a copy of `answer` without unusable items.

    An item is unusable if `exclude` or `mask_seen` of the query forbids it, or if its distance is
    not finite. A repeated item keeps only its first usable place.
    """
    distances: dict[str, float] = {}
    seen = frozenset(query.history if query.mask_seen else ())
    for item_id, distance in zip(answer.item_ids, answer.distances, strict=True):
        is_forbidden = item_id in seen or item_id in query.exclude
        if math.isfinite(distance) and not is_forbidden:
            distances.setdefault(item_id, distance)
    used = {"item_ids": list(distances), "distances": list(distances.values())}
    return answer.model_copy(update=used)
