"""Turns errors into problem answers (RFC 9457), and documents these answers in OpenAPI."""

import reprlib
from collections.abc import Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.access.security_headers import add_security_headers
from service.errors import (
    ConflictError,
    ForbiddenError,
    HistoryUnavailableError,
    InvalidRequestError,
    ItemStoreUnavailableError,
    LeavingError,
    NotFoundError,
    OverloadedError,
    ServiceError,
    TeacherUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
)
from service.http.request_ids import HEADER
from service.reason_phrases import reason_phrase
from service.telemetry.logs import request_id

MEDIA_TYPE = "application/problem+json"

MAX_ERRORS = 20
"""Maximum number of invalid values that a problem names, so that its JSON stays below 64 KB."""

_MAX_FIELD_LENGTH = 128

STATUS: Mapping[type[ServiceError], HTTPStatus] = {
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    HistoryUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    ItemStoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    LeavingError: HTTPStatus.SERVICE_UNAVAILABLE,
    OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
    TeacherUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "1"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "1"},
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
}


class FieldProblem(BaseModel):
    """A value of the request that cannot be used.

    `field` is the path of the value in the request, such as `history[3]`, or `body` for the whole
    body. `message` is the reason.
    """

    field: str
    message: str


class Problem(BaseModel):
    """The body of an answer with an error status (RFC 9457).

    `errors` names up to 20 values of the request that cannot be used. In a list, only the first
    such value is named. `errors` is empty if the error has another cause.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: Sequence[FieldProblem] = ()


def problem_response(
    status: int,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Makes the response with a problem; its media type is `application/problem+json`.

    Args:
        status: HTTP status.
        detail: the reason, for people.
        errors: the values of the request that cannot be used.
        headers: further headers of the response, by name.
    """
    body = problem(status, detail, errors).model_dump_json()
    return Response(body, status, headers, MEDIA_TYPE)


def wrong_host_response(host: str) -> Response:
    """Makes the 421 response to a request whose header `Host` has the refused value `host`."""
    return problem_response(
        HTTPStatus.MISDIRECTED_REQUEST,
        f"no answer for the host {reprlib.repr(host)}: call the service by 127.0.0.1 or localhost, "
        "or add the host to ALLOWED_HOSTS",
    )


def problem(status: int, detail: str, errors: Sequence[FieldProblem] = ()) -> Problem:
    """Makes the body of a problem answer; its title is the reason phrase of `status`.

    `detail`: the reason, for people. `errors`: the values of the request that cannot be used.
    """
    return Problem(title=reason_phrase(status), status=status, detail=detail, errors=errors)


def detail_of(errors: Sequence[FieldProblem]) -> str:
    """Joins field errors into one line, `field: message; field: message`."""
    return "; ".join(f"{each.field}: {each.message}" for each in errors)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Returns the OpenAPI `responses` of a route that can answer with problems of `statuses`."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status.value: {
            "description": reason_phrase(status),
            # A new object for each status, because each gets its own example.
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def problem_schemas() -> dict[str, Any]:
    """Returns the OpenAPI schemas of `Problem` and `FieldProblem`, to which `documented` refers."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "Problem": schema}


def install_problems(app: FastAPI) -> None:
    """Installs exception handlers in `app` that turn every error into a problem."""
    app.exception_handler(ServiceError)(_service_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_unexpected_error)


def status_of(error: ServiceError) -> HTTPStatus:
    """Returns the status of the answer to a request that failed with `error`."""
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def service_problem(error: ServiceError) -> Response:
    """Makes the problem answer to a request that failed with the ServiceError `error`."""
    status = status_of(error)
    fields = []
    if isinstance(error, InvalidRequestError):
        fields = [FieldProblem(field=error.field, message=error.message)]
    headers = HEADERS.get(status)
    if isinstance(error, TooManyRequestsError):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, OverloadedError):
        headers = {"Retry-After": str(error.retry_after)}
    return problem_response(status, str(error), fields, headers)


def refusal_response(error: ServiceError | HTTPException) -> Response:
    """Makes the problem answer to a request that a middleware refused with `error`."""
    if isinstance(error, HTTPException):
        return problem_response(error.status_code, error.detail)
    return service_problem(error)


async def _service_error(_: Request, error: ServiceError) -> Response:
    return service_problem(error)


async def _invalid_request(_: Request, error: RequestValidationError) -> Response:
    # Cut before they are formatted, because formatting costs more than the checks.
    errors = error.errors()
    response = _unusable(list(map(field_problem, errors[:MAX_ERRORS])), len(errors))
    # The frames of the error's traceback refer to the error and to the body. Only the garbage
    # collector would free this cycle of up to a megabyte, so it is broken here.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return response


async def _http_error(request: Request, error: HTTPException) -> Response:
    return http_problem(request, error)


def http_problem(request: Request, error: HTTPException) -> Response:
    """Makes the problem answer to a request that failed with the HTTPException `error`.

    Status 400 becomes 422, as for every invalid body. Status 405 gets the header `Allow`.
    """
    if error.status_code == HTTPStatus.BAD_REQUEST:
        # FastAPI answers 400 to a body that is not text; this service answers 422, as to any other
        # invalid body.
        return _unusable([FieldProblem(field="body", message=error.detail)])
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": _allowed_methods(request)}
    return problem_response(error.status_code, error.detail, headers=headers)


async def _unexpected_error(_: Request, __: Exception) -> Response:
    # This handler runs outside of `RequestTiming`, which adds the headers to all other answers.
    response = problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "an unexpected error: the service's log has the details",
        headers={HEADER.decode(): request_id.get() or ""},
    )
    add_security_headers(response.raw_headers)
    return response


def _allowed_methods(request: Request) -> str:
    """Returns the methods that the request's path allows, for the header `Allow`.

    FastAPI's router lists only the methods of the first route with this path.
    """

    def is_allowed(method: HTTPMethod) -> bool:
        scope = {**request.scope, "method": method.value}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return ", ".join(method for method in HTTPMethod if is_allowed(method))


def _unusable(fields: Sequence[FieldProblem], found: int = 1) -> Response:
    """Makes the 422 answer to a request with invalid values.

    `fields`: the errors to name. `found`: number of all errors; the answer says how many of them
    it does not name.
    """
    detail = detail_of(fields)
    if found > len(fields):
        detail = f"{detail}; and {found - len(fields)} more"
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, fields)


def field_problem(error: Mapping[str, Any]) -> FieldProblem:
    """Makes a FieldProblem from one entry of a pydantic error.

    The first part of the entry's location says where the value is: `body`, `query` or `path`.
    """
    field, message = _field_name(error["loc"]), error["msg"]
    if field == "body" and error["type"] == "model_attributes_type":
        message = "must be a JSON object, sent as application/json"
    elif error["type"] not in {"missing", "json_invalid"}:
        message = f"{message}, not {reprlib.repr(error['input'])}"
    return FieldProblem(field=_shortened(field), message=message)


def _shortened(field: str) -> str:
    """Cuts a field name to `_MAX_FIELD_LENGTH` characters; a client may send a very long one."""
    return field if len(field) <= _MAX_FIELD_LENGTH else f"{field[:_MAX_FIELD_LENGTH]}…"


def _field_name(location: Sequence[str | int]) -> str:
    """Formats pydantic's location of an error as a path into the request.

    `("body", "requests", 0, "k")` is `requests[0].k`, `("body", "history", 3)` is `history[3]`,
    `("query", "k")` is `k` and `("body",)` is `body`.
    """
    first, *rest = location
    if not rest or not isinstance(rest[0], str):  # a number is the position in malformed JSON
        return str(first)
    return rest[0] + "".join(
        f".{part}" if isinstance(part, str) else f"[{part}]" for part in rest[1:]
    )
