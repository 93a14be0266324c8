"""Parses the body of a request with many records in slices: a JSON object, or lines of JSON."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from service.api.problems import field_problem
from service.errors import InvalidRequestError

_LINES, _JSON = "application/x-ndjson", "application/json"
_IN_SLICE = 100
_MAX_LENGTH_OF_NAME = 64  # in an error message

Record = TypeVar("Record")


@dataclass(frozen=True)
class BatchBody:
    """The body of a route that takes many records.

    As JSON it is an object with one field, which has the list of records. As NDJSON each line is
    a record.

    Attributes:
        path: path of the route.
        field: name of the field, such as `events`.
        max_records: maximum number of records.
        max_structure: maximum number of keys, objects and lists in a body.
        schema: model of the JSON object, for OpenAPI.
    """

    path: str
    field: str
    max_records: int
    max_structure: int
    schema: type[BaseModel]

    @property
    def request_body(self) -> Mapping[str, Any]:
        """The body in OpenAPI; FastAPI cannot derive it, since the handler parses the body."""
        singular = self.field.removesuffix("s")
        content = {_JSON: {"schema": {"$ref": f"#/components/schemas/{self.schema.__name__}"}}}
        text = f"JSON, or `{_LINES}` with one {singular} per line and no list around them"
        return {"requestBody": {"required": True, "description": text, "content": content}}

    def request_schemas(self) -> dict[str, Any]:
        """Returns the OpenAPI schemas that `request_body` refers to, by name."""
        schema = self.schema.model_json_schema(ref_template="#/components/schemas/{model}")
        return {**schema.pop("$defs"), self.schema.__name__: schema}

    def parsed(
        self,
        body: bytes,
        content_type: str,
        parse: Callable[[object], Record],
        must_stop: Callable[[], bool] = lambda: False,
    ) -> Generator[None, None, Sequence[Record]]:
        """Parses a body in slices; returns the result of `parse` for each record.

        This generator yields before each slice of the work, and at last returns the list.

        Args:
            body: the body.
            content_type: its content type.
            parse: gets a line as bytes, or an element of the list.
            must_stop: asked after each slice; the records that follow are left out if it is true.

        Raises:
            InvalidRequestError: the content type is not supported, the body is not a list of
                records, or it has no records or too many.
        """
        media_type = content_type.partition(";")[0].strip().lower()
        given = _lines(body) if media_type == _LINES else self._listed(body, media_type)
        if not 1 <= len(given) <= self.max_records:
            raise InvalidRequestError(
                self.field, f"must be 1 to {self.max_records:,} {self.field}, not {len(given)}"
            )
        records: list[Record] = []
        for start in range(0, len(given), _IN_SLICE):
            yield
            records += map(parse, given[start : start + _IN_SLICE])
            if must_stop():
                break
        return records

    def _listed(self, body: bytes, media_type: str) -> Sequence[object]:
        if media_type != _JSON:
            raise InvalidRequestError("body", f"must be sent as {_JSON} or as {_LINES}")
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError("body", f"is not JSON: {error}") from None
        if not isinstance(content, dict) or content.keys() != {self.field}:
            raise InvalidRequestError(
                "body", f"must be a JSON object with the one key `{self.field}`"
            )
        records = content[self.field]
        if not isinstance(records, list):
            raise InvalidRequestError(self.field, f"must be a list of {self.field}")
        return records


def read_record(given: object, fields: Collection[str]) -> tuple[dict[str, Any], str | None]:
    """Reads a record before its schema checks it; also returns what is wrong with it, or None.

    Unknown fields are found here, because the schema makes an error object for each.

    Args:
        given: a line as bytes, or an element of the list.
        fields: names of the fields that a record may have.
    """
    if isinstance(given, bytes):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            return {}, f"body: is not JSON: {error}"
    if not isinstance(given, dict):
        return {}, "body: must be a JSON object"
    if unknown := given.keys() - fields:
        return given, f"{min(unknown)[:_MAX_LENGTH_OF_NAME]!r}: no such field"
    return given, None


def first_problem(error: ValidationError) -> str:
    """Returns the first problem of an invalid record as `field: message`."""
    first = error.errors(include_url=False, include_context=False)[0]
    problem = field_problem({**first, "loc": ("body", *first["loc"])})
    return f"{problem.field}: {problem.message}"


def _lines(body: bytes) -> Sequence[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]
