"""The HTTP server of a live teacher.

It runs in a process of its own, since it needs torch, which the recommender service does not
import. Requests are answered one at a time, in the order of their arrival. A request whose client
has disconnected is skipped.
"""

import asyncio
import logging
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

from training.errors import EndpointError
from training.teacher.live.teacher import LiveTeacher, UnknownHistoryError

MAX_WAITING = 16  # maximum number of requests in the queue, the running one included
MAX_IDS = 10_000  # maximum length of a history
MAX_TITLES = 64  # maximum number of titles to embed in one request
PROBLEM_TYPE = "application/problem+json"
LOG = logging.getLogger("uvicorn.error")

T = TypeVar("T")
ItemId = Annotated[str, Field(min_length=1, max_length=256)]


class RequestBody(BaseModel):
    """Base class of request bodies; refuses unknown keys and values of the wrong type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RecommendationRequest(RequestBody):
    """A history to recommend items for; ids that are not in the catalog are skipped."""

    history: list[ItemId] = Field(
        min_length=1, max_length=MAX_IDS, description="item ids, oldest first"
    )
    k: int = Field(default=20, ge=1, description="number of items to recommend")
    exclude: list[ItemId] = Field(default=[], description="ids of items not to recommend")
    mask_seen: bool = Field(default=True, description="whether items of the history are left out")


class EmbeddingRequest(RequestBody):
    """Titles to embed, at most `MAX_TITLES`."""

    titles: list[Annotated[str, Field(min_length=1, max_length=2_000)]] = Field(
        min_length=1, max_length=MAX_TITLES
    )


class RecommendationAnswer(BaseModel):
    """Recommended items, nearest first; fewer than `k` if no more items are allowed."""

    teacher_version: str
    item_ids: Sequence[str]
    distances: Sequence[float] = Field(description="distance of each item; lower is nearer")
    generated_text: str | None = Field(
        default=None, description="title that a generative teacher wrote; null for other kinds"
    )
    tokens: int = Field(description="number of tokens read and written for this answer")
    seconds: float = Field(description="time to compute the answer, without waiting in the queue")


class EmbeddingAnswer(BaseModel):
    """Embeddings of the requested titles, in the order of the request.

    They can be compared with the item embeddings that the teacher gave to students.
    """

    teacher_version: str
    embeddings: Sequence[Sequence[float]]
    seconds: float


class ReadinessAnswer(BaseModel):
    """Answer of the readiness probe: the teacher is loaded and answers requests.

    The server listens only after it has loaded the teacher, so there is no other status.
    """

    status: Literal["ready"] = "ready"
    model: str
    teacher_version: str
    num_items: int


class RequestQueue:
    """Runs the LLM for one request at a time, and refuses a request if the queue is full.

    Several requests at a time would not be faster, since one request uses all threads. The queue
    holds at most `MAX_WAITING` requests, the running one included.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def run(self, request: Request, work: Callable[[], T]) -> tuple[T, float]:
        """Waits until all earlier requests are answered, then runs `work` in the executor.

        Returns the result and the seconds that `work` took, without the wait. `request` tells
        whether its client is still connected; otherwise `work` is not run.

        Raises:
            HTTPException: the queue is full, or the client has disconnected; status 503.
        """
        if self._waiting >= MAX_WAITING:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MAX_WAITING} requests are waiting already; try again later",
                {"Retry-After": "1"},
            )
        self._waiting += 1
        try:
            async with self._turn:
                if await request.is_disconnected():
                    raise HTTPException(
                        HTTPStatus.SERVICE_UNAVAILABLE, "the client has disconnected"
                    )
                started = time.perf_counter()
                result = await asyncio.get_running_loop().run_in_executor(self._executor, work)
                return result, time.perf_counter() - started
        finally:
            self._waiting -= 1


async def _teacher(request: Request) -> LiveTeacher:
    teacher: LiveTeacher = request.app.state.teacher
    return teacher


async def _queue(request: Request) -> RequestQueue:
    queue: RequestQueue = request.app.state.queue
    return queue


TeacherDep = Annotated[LiveTeacher, Depends(_teacher)]
QueueDep = Annotated[RequestQueue, Depends(_queue)]


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Builds an error response in the format of RFC 9457 (problem details).

    `status` is the HTTP status, and `detail` the message. `headers` are added to the response.
    """
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
    """Recommends the `k` items nearest to the history, by the teacher's distances."""
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
    """Liveness probe: answers as long as the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def is_ready(teacher: TeacherDep) -> ReadinessAnswer:
    """Readiness probe: answers when the teacher is loaded, with its model's name and version."""
    return ReadinessAnswer(
        model=teacher.name,
        teacher_version=teacher.version,
        num_items=teacher.catalog.num_items,
    )


def create_app(teacher: LiveTeacher, threads: int) -> FastAPI:
    """Creates the application that serves `teacher`, whose LLM computes with `threads` threads."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # torch has the number of threads as a setting of each thread, so set it in the thread that
        # computes.
        with ThreadPoolExecutor(1, "teacher", torch.set_num_threads, (threads,)) as executor:
            app.state.teacher = teacher
            app.state.queue = RequestQueue(executor)
            yield

    app = FastAPI(title="Teacher", version=teacher.version, lifespan=lifespan)
    app.include_router(router)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(UnknownHistoryError)(_unknown_history)
    app.exception_handler(EndpointError)(_no_answer)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_unexpected_error)
    return app


async def _invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    problems = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(problems))


async def _unknown_history(_: Request, error: UnknownHistoryError) -> JSONResponse:
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"history: {error}")


async def _no_answer(_: Request, error: EndpointError) -> JSONResponse:
    LOG.warning("%s", error)  # not to the client: it has the address of the LLM's server
    detail = "the LLM's server does not answer as it should; see the log of the teacher's server"
    return problem(HTTPStatus.BAD_GATEWAY, detail)


async def _http_error(_: Request, error: HTTPException) -> JSONResponse:
    return problem(error.status_code, error.detail, error.headers)


async def _unexpected_error(_: Request, __: Exception) -> JSONResponse:
    detail = "unexpected error; see the log of the teacher's server"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
