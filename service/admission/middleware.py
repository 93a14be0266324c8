"""Admits or refuses requests to FastAPI's routes by their cost, before bodies are parsed."""

from collections.abc import Callable, Mapping

from fastapi import HTTPException, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.route_table import ROUTE_KEY
from service.admission.admission import Admission
from service.admission.bounds import Place
from service.admission.caller import caller_of
from service.admission.costs import ADMIN_KINDS, TURN_KINDS, Cost, kind_of
from service.admission.gate import Turn
from service.errors import OverloadedError
from service.http.body_limit import MAX_BODY_BYTES, announced_length, replayed
from service.stores.waiting_requests import counted_already


class AdmitByCost:
    """ASGI middleware: answers 503 early to a request whose turn would come too late.

    A heavy request waits for a turn; a teacher, admin or bulk request takes a place within a bound.
    Light requests need neither. A turn or place begins when the whole body has arrived and ends
    when the answer begins, so no slow client holds one.
    """

    def __init__(
        self,
        app: ASGIApp,
        costs: Mapping[str, Cost],
        answer: Callable[[OverloadedError | HTTPException], Response],
    ) -> None:
        """Makes the middleware.

        Args:
            app: the next middleware.
            costs: the cost of each route, by method and path, such as `GET /v1/items`.
            answer: makes the response to a refused request from the error.
        """
        self._app = app
        self._costs = costs
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes an admitted request on, in its turn if it is heavy; answers a refused request."""
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
        kind = kind_of(cost.kind, length)
        bound = admission.waiting_kinds.get(kind)
        if bound is None and kind != "heavy":
            await self._app(scope, receive, send)
            return
        caller, units = caller_of(scope), cost.units(length, runtime.variants.num_items())
        if bound:
            bound.check()
        if kind in TURN_KINDS:
            admission.heavy.check(caller, units)
        bodies = admission.admin_bodies if kind in ADMIN_KINDS else admission.bodies
        message = await bodies.receive(receive, caller.key)
        if "body" not in message:  # the client left before it had sent the whole body
            await self._app(scope, replayed(message, receive), send)
            return
        place: Place | Turn
        if bound:
            place = scope["place"] = bound.enter()
        else:
            place = scope["turn"] = await admission.heavy.enter(caller, units)
        try:
            with counted_already():
                await self._app(scope, replayed(message, receive), _until_answer(place, send))
        finally:
            place.end()


def _until_answer(place: Place | Turn, send: Send) -> Send:
    async def send_after_end(message: Message) -> None:
        if message["type"] == "http.response.start":
            place.end()
        await send(message)

    return send_after_end
