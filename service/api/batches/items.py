"""Parses the body of a request that changes many items."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
import orjson
from pydantic import ValidationError

from service.admission.costs import MAX_CHANGES
from service.api.batches.bodies import BatchBody, first_problem
from service.api.schemas.items import ChangedItem, ChangedItems
from service.bundles.bulk_changes import ItemChange

BODY = BatchBody("/v1/items/bulk", "items", MAX_CHANGES, 10 * MAX_CHANGES, ChangedItems)

_MAX_LENGTH_OF_ID = 64  # in a failure


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


def changes_in(
    body: bytes, content_type: str, must_stop: Callable[[], bool]
) -> Generator[None, None, Sequence[Parsed]]:
    """Parses a body in slices, as `BatchBody.parsed` does, until `must_stop` is true."""
    return BODY.parsed(body, content_type, _change, must_stop)


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
        return UnreadableChange(given, first_problem(error))
    return _change_of(item)


def _change_of(item: ChangedItem) -> ItemChange:
    fields = item.model_dump(include={"hidden", "title", "attributes"}, exclude_unset=True)
    embedding = np.array(item.embedding or (), dtype="<f4").tobytes()
    return ItemChange(item.item_id, fields, embedding, item.removed)
