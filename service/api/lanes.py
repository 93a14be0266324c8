"""The routes that have a fast lane, and the dependencies that a lane can provide.

A route with a further dependency is refused when the application is made: add the dependency to
`_PROVIDED` with the way to get its value, or take the route out of `_HANDLERS`.
"""

from collections.abc import Sequence

from fastapi import FastAPI

from service.access.principal import SCOPE_KEY
from service.api.gate import get_principal
from service.api.routes.recommendations import recommend
from service.api.routes.sessions import append_event
from service.http.fast_lane import FastLane, Provided, open_lane
from service.runtime import get_runtime
from service.telemetry.stopwatch import get_stopwatch

_HANDLERS = (append_event, recommend)

_PROVIDED: Provided = {
    get_runtime: lambda scope: scope["app"].state.runtime,
    get_principal: lambda scope: scope[SCOPE_KEY],
    get_stopwatch: lambda scope: scope["stopwatch"],
}


def open_lanes(app: FastAPI) -> Sequence[FastLane]:
    """Makes the fast lanes of `app`, after all its routes were added.

    Raises:
        FastLaneError: a route does something that its lane would skip.
    """
    return [open_lane(app, handler, _PROVIDED) for handler in _HANDLERS]
