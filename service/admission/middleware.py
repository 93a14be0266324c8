"""Admits the requests that FastAPI answers by their cost, before their bodies are parsed."""

from collections.abc import Callable, Mapping

from fastapi import HTTPException, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.route_table import ROUTE_KEY
from service.admission.admission import Admission
from service.admission.caller import caller_of
from service.admission.costs import MAX_LIGHT_BODY_BYTES, Cost, Kind
from service.admission.gate import Turn
from service.errors import OverloadedError
from service.http.body_limit import MAX_BODY_BYTES, announced_length, replayed, whole_body


class AdmitByCost:
    """ASGI middleware: answers 503 to a request that would come too late, before it costs much.

    A heavy request has its whole body before it waits for a turn, and gives the turn back when its
    answer begins: so no slow client holds one. Light requests in a lane need no turn.
    """

    def __init__(
        self,
        app: ASGIApp,
        costs: Mapping[str, Cost],
        answer: Callable[[OverloadedError | HTTPException], Response],
    ) -> None:
        """`costs`: of each route, by method and path; `answer`: makes the answer of a refusal."""
        self._app = app
        self._costs = costs
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on in its turn, or refuses it."""
        length = announced_length(scope["headers"]) if scope["type"] == "http" else 0
        if scope["type"] != "http" or length > MAX_BODY_BYTES:  # BodyLimit answers 413
            await self._app(scope, receive, send)
            return
        cost = self._costs[f"{scope['method']} {scope[ROUTE_KEY]}"]
        try:
            await self._admit(cost, length, scope, receive, send)
        except (OverloadedError, HTTPException) as error:
            await self._answer(error)(scope, receive, send)

    async def _admit(
        self, cost: Cost, length: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        runtime = scope["app"].state.runtime
        admission: Admission = runtime.admission
        kind = _kind(cost.kind, length)
        if bound := admission.waiting_kinds.get(kind):
            with bound.entered():
                await self._app(scope, receive, send)
        elif kind == "heavy":
            num_items = len(runtime.variants.control.recommender.catalog)
            units = cost.units(length, num_items)
            await self._in_turn(admission, units, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _in_turn(
        self, admission: Admission, units: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        caller = caller_of(scope)
        admission.heavy.check(caller, units)
        with admission.receiving.entered(units):
            message = await whole_body(receive)
        if "body" in message:  # else the client left before it had sent the whole body
            scope["turn"] = turn = await admission.heavy.enter(caller, units)
            try:
                await self._app(scope, replayed(message, receive), _until_answer(turn, send))
            finally:
                turn.end()


def _kind(kind: Kind, length: int) -> Kind:
    """Returns the kind of a request: parsing a long body is heavy work too."""
    return "heavy" if kind == "light" and length > MAX_LIGHT_BODY_BYTES else kind


def _until_answer(turn: Turn, send: Send) -> Send:
    async def send_after_turn(message: Message) -> None:
        if message["type"] == "http.response.start":
            turn.end()
        await send(message)

    return send_after_turn
