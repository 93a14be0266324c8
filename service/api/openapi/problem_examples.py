"""OpenAPI examples of problems: the field `detail` by status and tag of the route, and fields."""

from collections.abc import Mapping
from http import HTTPStatus

from service.api.problems import FieldProblem
from service.errors import LeavingError, NoTeacherError, OverloadedError, TooManyRequestsError
from service.http.body_limit import MAX_BODY_BYTES
from service.setting_parts.variants import DEFAULT_VARIANT

DETAILS: Mapping[tuple[HTTPStatus, str], str] = {
    (HTTPStatus.NOT_FOUND, "items"): "no item '0'",
    (HTTPStatus.NOT_FOUND, "sessions"): "no session 'ada'",
    (HTTPStatus.NOT_FOUND, "experiments"): "no figures: EXPERIMENTS_PATH is unset",
    (HTTPStatus.NOT_FOUND, "model"): f"no variant 'b'; there are: {DEFAULT_VARIANT}",
    (
        HTTPStatus.CONFLICT,
        "items",
    ): "item '1' belongs to the bundle: it cannot be replaced or removed",
    (HTTPStatus.CONFLICT, "model"): f"variant {DEFAULT_VARIANT!r} has no previous bundle",
    (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "items",
    ): "the store of added items does not answer (ConnectionError)",
    (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "sessions",
    ): "the history store does not answer (ConnectionError)",
    (HTTPStatus.SERVICE_UNAVAILABLE, "teacher"): str(NoTeacherError()),
    (HTTPStatus.SERVICE_UNAVAILABLE, "health"): str(LeavingError()),
}
"""Example of a problem's `detail`, by status and tag of the route, if it depends on the route."""

DETAILS_OF_ALL: Mapping[HTTPStatus, str] = {
    HTTPStatus.UNAUTHORIZED: "send a key with scope `read`: `Authorization: Bearer ID.SECRET`",
    HTTPStatus.FORBIDDEN: "this key lacks the scope `read`",
    HTTPStatus.TOO_MANY_REQUESTS: str(TooManyRequestsError(0.5)),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"the body is longer than {MAX_BODY_BYTES} bytes",
    HTTPStatus.SERVICE_UNAVAILABLE: str(OverloadedError()),
}
"""Example of a problem's `detail`, by status, if it is the same for all routes."""

_TOO_MANY = "must be at most 100, not 1000"
_NO_TEXT = "Input should be a valid string, not 1"

FIELDS: Mapping[str, FieldProblem] = {
    "k": FieldProblem(field="k", message=_TOO_MANY),
    "requests": FieldProblem(field="requests[0].k", message=_TOO_MANY),
    "items": FieldProblem(field="items", message="must be 1 to 10,000 items, not 10001"),
    "events": FieldProblem(field="events", message="must be 1 to 1,000 events, not 1001"),
    "limit": FieldProblem(
        field="limit", message="Input should be less than or equal to 100, not '1000'"
    ),
    "item_id": FieldProblem(
        field="item_id",
        message="String should have at most 256 characters, not 'xxxxxxxxxxxx...xxxxxxxxxxxxx'",
    ),
    "session_id": FieldProblem(
        field="session_id",
        message="String should have at most 128 characters, not 'xxxxxxxxxxxx...xxxxxxxxxxxxx'",
    ),
    "user_id": FieldProblem(
        field="user_id",
        message="String should have at most 128 characters, not 'xxxxxxxxxxxx...xxxxxxxxxxxxx'",
    ),
    "bundle": FieldProblem(field="bundle", message=_NO_TEXT),
    "variant": FieldProblem(field="variant", message=_NO_TEXT),
}
"""Examples of field errors, by name of the parameter or body field.

The example of a route is the first one whose name is a parameter or body field of the route.
"""
