"""Session routes: append an event, recommend for a session, read or erase its history."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from service.api.answering import ranked_response
from service.api.authorization import PrincipalDep
from service.api.openapi.document import TIMED
from service.api.problems import documented
from service.api.requests import ScopeDep, check_turn
from service.api.responses import event_outcome, event_response, json_response
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
    scope: ScopeDep,
    k: KInQuery | None = None,
) -> Response:
    """Stores an event of a session; with `k`, also recommends the next `k` items."""
    variant = runtime.variants.for_session(session_id)
    if k is not None:
        runtime.check_k(k)
        check_turn(runtime, variant, scope)
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
    return await ranked_response(
        runtime,
        variant,
        query,
        scope,
        stopwatch,
        runtime.audience(session_id, principal.tenant, query, consent=event.consent),
        consent=event.consent,
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
    return await ranked_response(
        runtime,
        variant,
        query,
        scope,
        stopwatch,
        audience,
        consent=consent,
        degraded=stored.degraded,
        explain=explain,
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
