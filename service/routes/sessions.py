"""Sessions: what a visitor did, kept by the service, and the next items after it."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from service.answers import event_response, json_response, recommendation_response
from service.errors import NotFoundError
from service.history.store import Event
from service.problems import documented
from service.runtime import RuntimeDep
from service.schemas import (
    DEFAULT_K,
    EventAnswer,
    EventRecommendationAnswer,
    KInQuery,
    NewEvent,
    RecommendationAnswer,
    SessionAnswer,
    SessionIdInPath,
)
from service.timing import StopwatchDep

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["sessions"])


@router.post(
    "/events",
    response_model=EventRecommendationAnswer | EventAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
)
async def append_event(
    session_id: SessionIdInPath,
    event: NewEvent,
    runtime: RuntimeDep,
    stopwatch: StopwatchDep,
    k: KInQuery | None = None,
) -> Response:
    """Stores an event; with `k`, recommends the next items in the same call."""
    if k is not None:
        runtime.check_k(k)
    with stopwatch.time("history"):
        recall = await runtime.history.append(session_id, Event(event.item_id, event.event_id))
    if k is None:
        return event_response(runtime.model_version, recall, stopwatch)
    with stopwatch.time("infer"):
        recommendations = runtime.recommender.recommend(recall.history, k)
    return recommendation_response(
        recommendations,
        runtime.model_version,
        stopwatch,
        degraded=recall.degraded,
        more={"stored": not recall.degraded},
    )


@router.get(
    "/recommendations",
    response_model=RecommendationAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def recommend_for_session(
    session_id: SessionIdInPath,
    runtime: RuntimeDep,
    stopwatch: StopwatchDep,
    k: KInQuery = DEFAULT_K,
) -> Response:
    """Recommends the next items; popular ones for a session that is not known."""
    runtime.check_k(k)
    with stopwatch.time("history"):
        recall = await runtime.history.read(session_id)
    with stopwatch.time("infer"):
        recommendations = runtime.recommender.recommend(recall.history, k)
    return recommendation_response(
        recommendations, runtime.model_version, stopwatch, degraded=recall.degraded
    )


@router.get(
    "",
    response_model=SessionAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
)
async def read_session(session_id: SessionIdInPath, runtime: RuntimeDep) -> Response:
    """Tells what is stored of a session."""
    recall = await runtime.history.read(session_id)
    if not recall.history and not recall.degraded:
        raise NotFoundError(f"no session {session_id!r}")
    return json_response(
        {"session_id": session_id, "history": recall.history, "degraded": recall.degraded}
    )


@router.delete(
    "",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)
async def forget_session(session_id: SessionIdInPath, runtime: RuntimeDep) -> Response:
    """Forgets a session; 204 says that nothing of it is stored, whether or not there was."""
    await runtime.history.forget(session_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)
