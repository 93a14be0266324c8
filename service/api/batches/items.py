"""Parses the body of a request that changes many items."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from service.admission.costs import MAX_CHANGES
from service.api.batches.bodies import BatchBody, first_problem, read_record
from service.api.schemas.bodies import MAX_ATTRIBUTES
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

    def __init__(self, given: Mapping[str, Any], detail: str) -> None:
        item_id = given.get("item_id")
        self.item_id = item_id[:_MAX_LENGTH_OF_ID] if isinstance(item_id, str) else None
        self.detail = detail


Parsed = ItemChange | UnreadableChange


def changes_in(
    body: bytes, content_type: str, must_stop: Callable[[], bool]
) -> Generator[None, None, Sequence[Parsed]]:
    """Parses a body in slices, as `BatchBody.parsed` does, until `must_stop` is true."""
    return BODY.parsed(body, content_type, _change, must_stop)


def _change(given: object) -> Parsed:
    record, problem = read_record(given, ChangedItem.model_fields.keys())
    attributes = record.get("attributes")
    if isinstance(attributes, dict) and len(attributes) > MAX_ATTRIBUTES:  # as for unknown fields
        problem = problem or f"attributes: has more than {MAX_ATTRIBUTES} names"
    if problem:
        return UnreadableChange(record, problem)
    try:
        item = ChangedItem.model_validate(record)
    except ValidationError as error:
        return UnreadableChange(record, first_problem(error))
    return _change_of(item)


def _change_of(item: ChangedItem) -> ItemChange:
    fields = item.model_dump(include={"hidden", "title", "attributes"}, exclude_unset=True)
    embedding = np.array(item.embedding or (), dtype="<f4").tobytes()
    return ItemChange(item.item_id, fields, embedding, item.removed)
