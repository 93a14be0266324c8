"""Parses the body of a request that changes many items, in slices: a JSON object, or JSON lines."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from pydantic import ValidationError

from service.api.problems import field_problem
from service.api.schemas.items import MAX_CHANGES, ChangedItem, ChangedItems
from service.bundles.bulk_changes import ItemChange
from service.errors import InvalidRequestError

PATH = "/v1/items/bulk"
MAX_STRUCTURE = 10 * MAX_CHANGES
"""Maximum number of keys, objects and lists in a body: ten for each item."""

_LINES, _JSON = "application/x-ndjson", "application/json"
_IN_SLICE = 100
_MAX_LENGTH_OF_ID = 64  # in a failure

REQUEST_BODY: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"JSON, or `{_LINES}` with one item per line and no list around them",
        "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{ChangedItems.__name__}"}}},
    }
}
"""The request body in OpenAPI; FastAPI cannot derive it, since the handler parses the body."""


class UnreadableChange:
    """A change that cannot be read.

    Attributes:
        item_id: id of its item, as far as it can be read.
        detail: what is wrong with it.
    """

    def __init__(self, given: object, detail: str) -> None:
        item_id = given.get("item_id") if isinstance(given, dict) else None
        self.item_id = item_id[:_MAX_LENGTH_OF_ID] if isinstance(item_id, str) else None
        self.detail = detail


Parsed = ItemChange | UnreadableChange


def request_schemas() -> dict[str, Any]:
    """Returns the OpenAPI schemas that `REQUEST_BODY` refers to, by name."""
    schema = ChangedItems.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), ChangedItems.__name__: schema}


def changes_in(body: bytes, content_type: str) -> Generator[None, None, Sequence[Parsed]]:
    """Parses a body in slices; returns each change, or what is wrong with it.

    This generator yields before each slice of the work, and at last returns the list.

    Raises:
        InvalidRequestError: the content type is not supported, the body is not a list of items, or
            it has no items or too many.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    given = _lines(body) if media_type == _LINES else _listed(body, media_type)
    if not 1 <= len(given) <= MAX_CHANGES:
        raise InvalidRequestError("items", f"must be 1 to {MAX_CHANGES:,} items, not {len(given)}")
    parsed: list[Parsed] = []
    for start in range(0, len(given), _IN_SLICE):
        yield
        parsed += map(_change, given[start : start + _IN_SLICE])
    return parsed


def _lines(body: bytes) -> Sequence[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


def _listed(body: bytes, media_type: str) -> Sequence[object]:
    if media_type != _JSON:
        raise InvalidRequestError("body", f"must be sent as {_JSON} or as {_LINES}")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError("body", f"is not JSON: {error}") from None
    if not isinstance(content, dict) or content.keys() != {"items"}:
        raise InvalidRequestError("body", "must be a JSON object with the one key `items`")
    items = content["items"]
    if not isinstance(items, list):
        raise InvalidRequestError("items", "must be a list of items")
    return items


def _change(given: object) -> Parsed:
    if isinstance(given, bytes):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            return UnreadableChange(None, f"body: is not JSON: {error}")
    if not isinstance(given, dict):
        return UnreadableChange(None, "body: must be a JSON object")
    unknown = given.keys() - ChangedItem.model_fields.keys()
    if unknown:  # found here, because the schema makes an error object for each
        return UnreadableChange(given, f"{min(unknown)[:_MAX_LENGTH_OF_ID]!r}: no such field")
    try:
        item = ChangedItem.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        problem = field_problem({**first, "loc": ("body", *first["loc"])})
        return UnreadableChange(given, f"{problem.field}: {problem.message}")
    return _change_of(item)


def _change_of(item: ChangedItem) -> ItemChange:
    fields = item.model_dump(include={"hidden", "title", "attributes"}, exclude_unset=True)
    embedding = np.array(item.embedding or (), dtype="<f4").tobytes()
    return ItemChange(item.item_id, fields, embedding, item.removed)
