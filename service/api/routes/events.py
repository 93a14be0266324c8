"""The route that stores events of many sessions."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response

from service.access.principal import Principal
from service.api.authorization import PrincipalDep
from service.api.batches.events import BODY, Parsed, events_in
from service.api.openapi.document import TIMED
from service.api.problems import documented
from service.api.requests import TurnDep
from service.api.responses import event_outcome, json_response
from service.api.schemas.events import EventsAnswer, SessionEvent
from service.errors import InvalidRequestError
from service.runtime import Runtime, RuntimeDep
from service.stores.history.guarded import StoredHistory
from service.telemetry.stopwatch import StopwatchDep

router = APIRouter(tags=["sessions"])

_SESSIONS_AT_ONCE = 32
_EVENTS_A_TURN = 16  # in one turn of the event loop, for stores that never wait
_EVENTS_AT_ONCE = 256  # if the store keeps the order of events; they share an fsync

Outcome = Mapping[str, Any]


@router.post(
    BODY.path,
    response_model=EventsAnswer,
    responses=TIMED
    | documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    openapi_extra=dict(BODY.request_body),
)
async def append_events(
    request: Request,
    runtime: RuntimeDep,
    principal: PrincipalDep,
    stopwatch: StopwatchDep,
    turn: TurnDep,
) -> Response:
    """Stores up to 1,000 events of many sessions. An invalid event does not stop the others."""
    content_type = request.headers.get("content-type", "")
    storing = runtime.admission.storing
    storing.check()  # before the body is parsed for nothing
    parsed = await turn.run_slices(events_in(await request.body(), content_type))
    place = storing.enter()
    turn.end()  # storing waits for disk or Redis, and is no heavy work
    try:
        with stopwatch.time("history"):
            outcomes = await _store_all(runtime, principal, parsed)
    finally:
        place.end()
    return json_response({"events": outcomes}, {"Server-Timing": stopwatch.header()})


async def _store_all(
    runtime: Runtime, principal: Principal, parsed: Sequence[Parsed]
) -> Sequence[Outcome]:
    """Stores the valid events, those of each session in their order.

    `parsed`: each event, or the error message for an invalid one. Returns the outcome of each: the
    fields of an EventOutcome.
    """
    outcomes: list[Outcome] = [_invalid(each) for each in parsed]
    places: dict[str, list[int]] = defaultdict(list)
    for place, event in enumerate(parsed):
        if isinstance(event, SessionEvent):
            places[event.session_id].append(place)
    free = asyncio.Semaphore(_SESSIONS_AT_ONCE)
    at_once = _EVENTS_AT_ONCE // min(len(places) or 1, _SESSIONS_AT_ONCE)

    async def store_one(place: int) -> None:
        event = parsed[place]
        if isinstance(event, SessionEvent):
            outcomes[place] = await _store(runtime, principal, event)

    async def store_session(of_session: Sequence[int]) -> None:
        async with free:
            size = at_once if runtime.history.keeps_order else 1
            for start in range(0, len(of_session), size):
                await _in_turns(store_one, of_session[start : start + size])
                if (start // size + 1) % _EVENTS_A_TURN == 0:
                    await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for of_session in places.values():
            tasks.create_task(store_session(of_session))
    return outcomes


async def _in_turns(
    store: Callable[[int], Coroutine[Any, Any, None]], places: Sequence[int]
) -> None:
    """Calls `store` with each index in `places`, and waits for all calls.

    The calls begin in this order, at most `_EVENTS_A_TURN` in one turn of the event loop.
    """
    if len(places) == 1:
        await store(places[0])
        return
    async with asyncio.TaskGroup() as tasks:
        for number, place in enumerate(places, start=1):
            tasks.create_task(store(place))
            if number % _EVENTS_A_TURN == 0:
                await asyncio.sleep(0)


async def _store(runtime: Runtime, principal: Principal, event: SessionEvent) -> Outcome:
    session = runtime.session(event.session_id, principal.tenant) if event.consent else None
    user_ref = runtime.user_ref(event.user_id, principal.tenant)
    try:
        new_event = runtime.intake.event_of(event, session, principal.tenant, user_ref)
    except InvalidRequestError as error:
        return _invalid(str(error))
    stored = StoredHistory([])
    if session is not None:
        stored = await runtime.history.append(session, new_event)
    return {**event_outcome(stored, consent=event.consent), "detail": None}


def _invalid(event: Parsed) -> Outcome:
    detail = event if isinstance(event, str) else None
    return {"stored": False, "reason": "invalid", "logged": False, "detail": detail}
