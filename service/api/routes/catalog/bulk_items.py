"""The route that adds, changes and removes many items."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response

from service.admission.caller import Caller, caller_of
from service.admission.costs import change_units
from service.api.batches.items import BODY, Parsed, UnreadableChange, changes_in
from service.api.problems import documented, status_of
from service.api.responses import json_response
from service.api.schemas.items import MAX_FAILURES, ChangedItemsAnswer
from service.bundles.bulk_changes import IN_SLICE, ItemChange
from service.errors import LeavingError
from service.runtime import Runtime, RuntimeDep

router = APIRouter(tags=["items"])

_PAUSE = 2
_MAX_PAUSE_SECONDS = 0.1


@router.post(
    BODY.path,
    response_model=ChangedItemsAnswer,
    responses=documented(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
    openapi_extra=dict(BODY.request_body),
)
async def change_items(request: Request, runtime: RuntimeDep) -> Response:
    """Adds, changes, hides and removes up to 10,000 items; a change that fails stops no other.

    A change of an item of the bundle is like `PATCH /v1/items/{item_id}`. Any other item is added,
    or the added one is changed. Changes are made in their order, and can be sent again. This worker
    applies them before it answers, all others within ITEMS_POLL_SECONDS. The request works for 2
    seconds, or those of `Prefer: wait=N` up to 10; `processed` says how far it came.
    """
    caller = caller_of(request.scope)
    until = time.monotonic() + caller.wait_seconds
    body, content_type = await request.body(), request.headers.get("content-type", "")
    units = change_units(len(body), runtime.variants.num_items())
    async with runtime.admission.heavy.turn(request.scope, units) as turn:
        # A worker that leaves has the time for the first changes only.
        slices = changes_in(body, content_type, lambda: runtime.drain.is_draining)
        parsed = await turn.run_slices(slices)
    # Without the turn, because storing waits for disk or Redis, and is no heavy work.
    async with _alone(runtime, caller, until):
        return json_response(await _make_all(runtime, parsed, until))


@asynccontextmanager
async def _alone(runtime: Runtime, caller: Caller, until: float) -> AsyncIterator[None]:
    """Context manager: waits until no other request changes items in bulk, and keeps them waiting.

    Args:
        runtime: the runtime.
        caller: the sender of the request.
        until: time at which the request's time is over, by `time.monotonic`.

    Raises:
        OverloadedError: the request's time is over before, or its sender has left.
        LeavingError: this worker drains before.
    """
    lock, refusal = runtime.bulk_changes.one_at_a_time, runtime.admission.heavy.refusal
    must_wait = lock.locked()
    try:
        async with asyncio.timeout(until - time.monotonic()):
            await lock.acquire()  # is not interrupted if there is no other request
    except TimeoutError:
        raise refusal("deadline") from None
    try:
        if caller.has_left():
            raise refusal("left")
        if must_wait and runtime.drain.is_draining:
            raise LeavingError  # the last second has room for one slice, not for one of each
        yield
    finally:
        lock.release()


async def _make_all(runtime: Runtime, parsed: Sequence[Parsed], until: float) -> Mapping[str, Any]:
    """Makes changes in slices until all are made, the time is over or this worker drains.

    Makes at least one slice. `until`: time by `time.monotonic`. Returns the fields of a
    ChangedItemsAnswer.
    """
    bulk, drain = runtime.bulk_changes, runtime.drain
    readable = [(place, each) for place, each in enumerate(parsed) if isinstance(each, ItemChange)]
    failures = {
        place: _failure(place, each.item_id, HTTPStatus.UNPROCESSABLE_ENTITY, each.detail)
        for place, each in enumerate(parsed)
        if isinstance(each, UnreadableChange)
    }
    num_done = 0
    await bulk.refresh()
    while num_done < len(readable):
        if num_done and (drain.is_draining or time.monotonic() >= until):
            break
        began = time.monotonic()
        rest = readable[num_done : num_done + IN_SLICE]
        num_made, failed = await bulk.make([each for _, each in rest])
        for place, each in rest[:num_made]:
            if error := failed.get(each.item_id):
                failures[place] = _failure(place, each.item_id, status_of(error), str(error))
        num_done += num_made
        # Twice as long as the slice took, so that other requests have at least two thirds of
        # the time. A busy worker is slower, and so pauses longer.
        took = time.monotonic() - began
        await asyncio.sleep(min(_PAUSE * took, _MAX_PAUSE_SECONDS))
    await bulk.refresh()
    processed = readable[num_done][0] if num_done < len(readable) else len(parsed)
    named = [failures[place] for place in sorted(failures) if place < processed]
    return {"processed": processed, "failed": len(named), "failures": named[:MAX_FAILURES]}


def _failure(place: int, item_id: str | None, status: int, detail: str) -> Mapping[str, Any]:
    return {"place": place, "item_id": item_id, "status": int(status), "detail": detail}
