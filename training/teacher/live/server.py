"""The teacher's HTTP server: the slow path, in a process of its own that may import torch.

Requests are answered one at a time, in order. A request whose client has disconnected is skipped.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

import torch
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from training.teacher.live.teacher import LiveTeacher, UnknownHistoryError

MAX_WAITING = 16
MAX_IDS = 10_000
MAX_TITLES = 64
PROBLEM_TYPE = "application/problem+json"

T = TypeVar("T")
ItemId = Annotated[str, Field(min_length=1, max_length=256)]


class RequestBody(BaseModel):
    """Base of request bodies: strict JSON types, unknown keys are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RecommendationRequest(RequestBody):
    """A history to recommend for; ids that the catalog does not have are skipped."""

    history: list[ItemId] = Field(min_length=1, max_length=MAX_IDS, description="oldest first")
    k: int = Field(default=20, ge=1)
    exclude: list[ItemId] = Field(default=[], description="ids not to recommend; of any length")
    mask_seen: bool = Field(default=True, description="whether items of the history are excluded")


class EmbeddingRequest(RequestBody):
    """Titles to embed, at most `MAX_TITLES`."""

    titles: list[Annotated[str, Field(min_length=1, max_length=2_000)]] = Field(
        min_length=1, max_length=MAX_TITLES
    )


class RecommendationAnswer(BaseModel):
    """Recommended items, nearest first; a generative teacher adds the title it wrote."""

    teacher_version: str
    item_ids: Sequence[str]
    distances: Sequence[float] = Field(description="lower = nearer")
    generated_text: str | None = None
    tokens: int = Field(description="read and written for this answer")
    seconds: float = Field(description="time to compute the answer, without waiting in the queue")


class EmbeddingAnswer(BaseModel):
    """Embeddings in the order of the titles, in the space of the teacher's item embeddings."""

    teacher_version: str
    embeddings: Sequence[Sequence[float]]
    seconds: float


class ReadinessAnswer(BaseModel):
    """The loaded teacher; the server listens only after loading it."""

    status: Literal["ready"] = "ready"
    model: str
    teacher_version: str
    num_items: int


class OneAtATime:
    """A short queue in front of one thread: parallel requests would not make an LLM faster."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def run(self, request: Request, work: Callable[[], T]) -> tuple[T, float]:
        """Runs `work` in turn; returns its result and the seconds it took.

        Raises:
            HTTPException: 503, the queue is full or the client has disconnected.
        """
        if self._waiting >= MAX_WAITING:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MAX_WAITING} requests are waiting already",
                {"Retry-After": "1"},
            )
        self._waiting += 1
        try:
            async with self._turn:
                if await request.is_disconnected():
                    raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the client has gone")
                started = time.perf_counter()
                result = await asyncio.get_running_loop().run_in_executor(self._executor, work)
                return result, time.perf_counter() - started
        finally:
            self._waiting -= 1


async def _teacher(request: Request) -> LiveTeacher:
    teacher: LiveTeacher = request.app.state.teacher
    return teacher


async def _queue(request: Request) -> OneAtATime:
    queue: OneAtATime = request.app.state.queue
    return queue


TeacherDep = Annotated[LiveTeacher, Depends(_teacher)]
QueueDep = Annotated[OneAtATime, Depends(_queue)]


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Builds a problem response, RFC 9457."""
    content = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, headers, PROBLEM_TYPE)


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status.value: {"description": status.phrase, "content": {PROBLEM_TYPE: {}}}
    for status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
}

router = APIRouter()


@router.post("/recommendations", responses=PROBLEMS)
async def recommend(
    body: RecommendationRequest, request: Request, teacher: TeacherDep, queue: QueueDep
) -> RecommendationAnswer:
    """Recommends the items nearest to the history, by the kind of teacher that is loaded."""
    answer, seconds = await queue.run(
        request,
        lambda: teacher.recommend(body.history, body.k, body.exclude, mask_seen=body.mask_seen),
    )
    return RecommendationAnswer(teacher_version=teacher.version, seconds=seconds, **vars(answer))


@router.post("/embeddings", responses=PROBLEMS)
async def embed(
    body: EmbeddingRequest, request: Request, teacher: TeacherDep, queue: QueueDep
) -> EmbeddingAnswer:
    """Embeds titles in the space of the teacher's item embeddings."""
    embeddings, seconds = await queue.run(request, lambda: teacher.embed(body.titles).tolist())
    return EmbeddingAnswer(teacher_version=teacher.version, embeddings=embeddings, seconds=seconds)


@router.get("/healthz")
async def is_alive() -> dict[str, str]:
    """Liveness: the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def is_ready(teacher: TeacherDep) -> ReadinessAnswer:
    """Readiness: names the loaded teacher."""
    return ReadinessAnswer(
        model=teacher.name,
        teacher_version=teacher.version,
        num_items=teacher.catalog.num_items,
    )


def create_app(teacher: LiveTeacher, threads: int) -> FastAPI:
    """Creates the server of `teacher`, whose LLM computes with `threads` threads."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Set in the thread that computes, since torch keeps this setting per thread.
        with ThreadPoolExecutor(1, "teacher", torch.set_num_threads, (threads,)) as executor:
            app.state.teacher = teacher
            app.state.queue = OneAtATime(executor)
            yield

    app = FastAPI(title="Teacher", version=teacher.version, lifespan=lifespan)
    app.include_router(router)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(UnknownHistoryError)(_unknown_history)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_unexpected_error)
    return app


async def _invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    problems = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(problems))


async def _unknown_history(_: Request, error: UnknownHistoryError) -> JSONResponse:
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"history: {error}")


async def _http_error(_: Request, error: HTTPException) -> JSONResponse:
    return problem(error.status_code, error.detail, error.headers)


async def _unexpected_error(_: Request, __: Exception) -> JSONResponse:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "see the log of the teacher's server")
