"""Session routes: append an event, recommend for a session, read or erase its history."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from service.api.authorization import PrincipalDep
from service.api.openapi import TIMED
from service.api.problems import documented
from service.api.requests import ScopeDep, heavy_units
from service.api.responses import (
    event_outcome,
    event_response,
    json_response,
    recommendation_response,
    response_in_turn,
)
from service.api.schemas.bodies import KInQuery, RecommendationAnswer, SessionAnswer
from service.api.schemas.events import EventAnswer, EventRecommendationAnswer, NewEvent
from service.errors import NotFoundError
from service.http.ids_in_paths import SessionIdInPath
from service.ranking.recommender import Query
from service.runtime import RuntimeDep
from service.settings import DEFAULT_K
from service.stores.history.guarded import StoredHistory
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
    principal: PrincipalDep,
    stopwatch: StopwatchDep,
    k: KInQuery | None = None,
) -> Response:
    """Stores an event of a session; with `k`, also recommends the next `k` items."""
    if k is not None:
        runtime.check_k(k)
    variant = runtime.variants.for_session(session_id)
    session = runtime.session(session_id, principal.tenant) if event.consent else None
    user_ref = runtime.user_ref(event.user_id, principal.tenant)
    new_event = runtime.intake.event_of(event, session, principal.tenant, user_ref)
    stored = StoredHistory([event.item_id])
    if session is not None:
        with stopwatch.time("history"):
            stored = await runtime.history.append(session, new_event)
    outcome = event_outcome(stored, consent=event.consent)
    if k is None:
        return event_response(variant, stored, stopwatch, outcome)
    query = Query(stored.history, k)
    with stopwatch.time("infer"):
        recommendations = await runtime.micro_batcher.recommend(variant.recommender, query)
    if event.consent:
        runtime.offer_to_shadow(variant, query, recommendations)
    return recommendation_response(
        runtime,
        variant,
        recommendations,
        stopwatch,
        runtime.audience(session_id, principal.tenant, query, consent=event.consent),
        degraded=stored.degraded,
        more=outcome,
    )


@router.get(
    "/recommendations",
    response_model=RecommendationAnswer,
    responses=TIMED | documented(HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def recommend_for_session(
    session_id: SessionIdInPath,
    runtime: RuntimeDep,
    principal: PrincipalDep,
    stopwatch: StopwatchDep,
    scope: ScopeDep,
    k: KInQuery = DEFAULT_K,
    *,
    mask_seen: bool = True,
    explain: bool = False,
    consent: bool = True,
) -> Response:
    """Recommends the next items for a session; popular items for an unknown session.

    With `consent=false` the answer is neither logged nor compared with the teacher's.
    `POST /v1/recommendations` also takes a session, together with filters and excluded items.
    """
    runtime.check_k(k)
    variant = runtime.variants.for_session(session_id)
    with stopwatch.time("history"):
        stored = await runtime.history.read(runtime.session(session_id, principal.tenant))
    query = Query(stored.history, k, mask_seen=mask_seen)
    audience = runtime.audience(session_id, principal.tenant, query, consent=consent)
    if units := heavy_units(variant, query, explain=explain):
        async with runtime.admission.heavy.turn(scope, units) as turn:
            return await response_in_turn(
                runtime,
                variant,
                query,
                stopwatch,
                turn,
                audience,
                explain=explain,
                degraded=stored.degraded,
            )
    with stopwatch.time("infer"):
        answer = await runtime.micro_batcher.recommend(variant.recommender, query)
    if consent:
        runtime.offer_to_shadow(variant, query, answer)
    return recommendation_response(
        runtime, variant, answer, stopwatch, audience, degraded=stored.degraded
    )


@router.get(
    "",
    response_model=SessionAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
)
async def read_session(
    session_id: SessionIdInPath, runtime: RuntimeDep, principal: PrincipalDep
) -> Response:
    """Returns the stored history of a session."""
    stored = await runtime.history.read(runtime.session(session_id, principal.tenant))
    if not stored.history and not stored.degraded:
        raise NotFoundError(f"no session {session_id!r}")
    return json_response(
        {"session_id": session_id, "history": stored.history, "degraded": stored.degraded}
    )


@router.delete(
    "",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)
async def forget_session(
    session_id: SessionIdInPath, runtime: RuntimeDep, principal: PrincipalDep
) -> Response:
    """Erases a session; 204 even if it did not exist."""
    session = runtime.session(session_id, principal.tenant)
    await runtime.history.forget(session, runtime.intake.tombstones_of(session, principal.tenant))
    return Response(status_code=HTTPStatus.NO_CONTENT)
