"""The teacher's own HTTP server: the slow path, in a process of its own where torch lives.

Requests are answered one at a time, in their order; one whose client has gone is not computed.
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
    """JSON types as they are, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RecommendationRequest(RequestBody):
    """What to recommend for; ids that the catalog does not have are skipped."""

    history: list[ItemId] = Field(min_length=1, max_length=MAX_IDS, description="oldest first")
    k: int = Field(default=20, ge=1)
    exclude: list[ItemId] = Field(default=[], description="must not be answered; of any length")
    mask_seen: bool = Field(default=True, description="items of the history are not answered")


class EmbeddingRequest(RequestBody):
    """Titles to embed."""

    titles: list[Annotated[str, Field(min_length=1, max_length=2_000)]] = Field(
        min_length=1, max_length=MAX_TITLES
    )


class RecommendationAnswer(BaseModel):
    """Items nearest first; a teacher that writes its answer returns what it wrote too."""

    teacher_version: str
    item_ids: Sequence[str]
    distances: Sequence[float] = Field(description="lower = nearer")
    generated_text: str | None = None
    tokens: int = Field(description="read for this answer")
    seconds: float = Field(description="the answer itself; waiting for others not counted")


class EmbeddingAnswer(BaseModel):
    """`embeddings[i]` is that of `titles[i]`, in the space of the teacher's item embeddings."""

    teacher_version: str
    embeddings: Sequence[Sequence[float]]
    seconds: float


class ReadinessAnswer(BaseModel):
    """What answers here; the model is loaded before the server listens."""

    status: Literal["ready"] = "ready"
    model: str
    teacher_version: str
    num_items: int


class OneAtATime:
    """A short queue in front of one thread: an LLM gains nothing from being asked in parallel."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def run(self, request: Request, work: Callable[[], T]) -> tuple[T, float]:
        """What `work` returns and the seconds it took.

        Raises:
            HTTPException: too many wait already, or nobody waits for this answer any more.
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
    """An error as RFC 9457 has it."""
    content = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, headers, PROBLEM_TYPE)


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status.value: {"description": status.phrase, "content": {PROBLEM_TYPE: {}}}
    for status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
}

router = APIRouter()


@router.post("/recommendations", responses=PROBLEMS)
async def recommend(
    wanted: RecommendationRequest, request: Request, teacher: TeacherDep, queue: QueueDep
) -> RecommendationAnswer:
    """What the teacher expects next, as it was taught: read, written, or near by title."""
    answer, seconds = await queue.run(
        request,
        lambda: teacher.recommend(
            wanted.history, wanted.k, wanted.exclude, mask_seen=wanted.mask_seen
        ),
    )
    return RecommendationAnswer(teacher_version=teacher.version, seconds=seconds, **vars(answer))


@router.post("/embeddings", responses=PROBLEMS)
async def embed(
    wanted: EmbeddingRequest, request: Request, teacher: TeacherDep, queue: QueueDep
) -> EmbeddingAnswer:
    """Embeds titles as those of the catalog are embedded."""
    embeddings, seconds = await queue.run(request, lambda: teacher.embed(wanted.titles).tolist())
    return EmbeddingAnswer(teacher_version=teacher.version, embeddings=embeddings, seconds=seconds)


@router.get("/healthz")
async def is_alive() -> dict[str, str]:
    """Says that the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def is_ready(teacher: TeacherDep) -> ReadinessAnswer:
    """Says what answers here."""
    return ReadinessAnswer(
        model=teacher.name,
        teacher_version=teacher.version,
        num_items=teacher.catalog.num_items,
    )


def create_app(teacher: LiveTeacher, threads: int) -> FastAPI:
    """The server of `teacher`, which computes with `threads` threads."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Told in the thread that computes: the setting belongs to a thread.
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
