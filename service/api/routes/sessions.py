"""Sessions: events are appended, read and erased, and recommended for."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from service.api.openapi import TIMED
from service.api.problems import documented
from service.api.responses import (
    event_response,
    explained_response,
    json_response,
    recommendation_response,
)
from service.api.schemas import (
    EventAnswer,
    EventRecommendationAnswer,
    KInQuery,
    NewEvent,
    RecommendationAnswer,
    SessionAnswer,
)
from service.errors import NotFoundError
from service.http.ids_in_paths import SessionIdInPath
from service.ranking.recommender import Query
from service.runtime import RuntimeDep
from service.settings import DEFAULT_K
from service.stores.history.guarded import StoredHistory
from service.stores.history.protocol import Event
from service.telemetry.stopwatch import StopwatchDep

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["sessions"])


@router.post(
    "/events",
    response_model=EventRecommendationAnswer | EventAnswer,
    responses=TIMED
    | documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
)
async def append_event(
    session_id: SessionIdInPath,
    event: NewEvent,
    runtime: RuntimeDep,
    stopwatch: StopwatchDep,
    k: KInQuery | None = None,
) -> Response:
    """Stores an event of a session; with `k`, also recommends the next `k` items."""
    if k is not None:
        runtime.check_k(k)
    served = runtime.variants.for_session(session_id)
    recall = StoredHistory([event.item_id])
    if event.consent:
        with stopwatch.time("history"):
            recall = await runtime.history.append(session_id, Event(event.item_id, event.event_id))
    is_stored = event.consent and not recall.degraded
    if k is None:
        return event_response(served, recall, stopwatch, is_stored=is_stored)
    wanted = Query(recall.history, k)
    with stopwatch.time("infer"):
        recommendations = await runtime.micro_batcher.recommend(served.recommender, wanted)
    if event.consent:
        runtime.offer_to_shadow(served, wanted, recommendations)
    return recommendation_response(
        served,
        recommendations,
        stopwatch,
        degraded=recall.degraded,
        more={"stored": is_stored},
    )


@router.get(
    "/recommendations",
    response_model=RecommendationAnswer,
    responses=TIMED | documented(HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def recommend_for_session(
    session_id: SessionIdInPath,
    runtime: RuntimeDep,
    stopwatch: StopwatchDep,
    k: KInQuery = DEFAULT_K,
    *,
    mask_seen: bool = True,
    explain: bool = False,
) -> Response:
    """Recommends the next items for a session; popular items for an unknown session.

    `POST /v1/recommendations` takes a session too, with excluded items and filters.
    """
    runtime.check_k(k)
    served = runtime.variants.for_session(session_id)
    with stopwatch.time("history"):
        recall = await runtime.history.read(session_id)
    wanted = Query(recall.history, k, mask_seen=mask_seen)
    with stopwatch.time("infer"):
        answer = await runtime.micro_batcher.recommend(served.recommender, wanted)
    runtime.offer_to_shadow(served, wanted, answer)
    if explain:
        return await explained_response(served, wanted, answer, stopwatch, degraded=recall.degraded)
    return recommendation_response(served, answer, stopwatch, degraded=recall.degraded)


@router.get(
    "",
    response_model=SessionAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
)
async def read_session(session_id: SessionIdInPath, runtime: RuntimeDep) -> Response:
    """Gives the stored history of a session."""
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
    """Erases a session; 204 also if there was none."""
    await runtime.history.forget(session_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)
