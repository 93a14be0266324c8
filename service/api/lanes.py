"""The routes that have a fast lane, and the dependencies that a lane can provide.

`create_app` raises FastLaneError if a lane cannot provide a dependency of its route. To fix this,
add the dependency to `_PROVIDED` with a function that returns its value, or remove the route from
`_HANDLERS`.
"""

from collections.abc import Sequence

from fastapi import FastAPI

from service.access.principal import SCOPE_KEY
from service.admission.costs import MAX_LIGHT_BODY_BYTES
from service.api.authorization import get_principal
from service.api.costs import COSTS
from service.api.requests import get_scope
from service.api.routes.recommendations import recommend
from service.api.routes.sessions import append_event
from service.http.lanes.fast_lane import FastLane, Provided, open_lane
from service.http.lanes.lane_rules import FastLaneError
from service.runtime import get_runtime
from service.telemetry.stopwatch import get_stopwatch

_HANDLERS = (append_event, recommend)

_PROVIDED: Provided = {
    get_scope: lambda scope: scope,
    get_runtime: lambda scope: scope["app"].state.runtime,
    get_principal: lambda scope: scope[SCOPE_KEY],
    get_stopwatch: lambda scope: scope["stopwatch"],
}


def open_lanes(app: FastAPI) -> Sequence[FastLane]:
    """Makes the fast lanes of `app`; call it after all routes have been added.

    A request with a body too long for light work leaves its lane. FastAPI then handles it, in a
    turn of heavy work.

    Raises:
        FastLaneError: a lane would skip work that FastAPI does for its route, or the route's work
            is not light.
    """
    lanes = [
        open_lane(app, handler, _PROVIDED, max_body_bytes=MAX_LIGHT_BODY_BYTES)
        for handler in _HANDLERS
    ]
    for lane in lanes:
        if COSTS[f"POST {lane.path}"].kind != "light":
            raise FastLaneError(f"POST {lane.path} is not light work: remove its lane")
    return lanes
