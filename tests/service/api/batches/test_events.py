"""Events that no schema needs to see are refused before it makes an error object for each key."""

import json
from collections.abc import Sequence

import pytest

from service.api.batches.events import Parsed, events_in

LINES = "application/x-ndjson"
UNKNOWN = {"b": 1, "a": [2]}


def parsed(body: bytes, content_type: str) -> Sequence[Parsed]:
    slices = events_in(body, content_type)
    while True:
        try:
            next(slices)
        except StopIteration as end:
            events: Sequence[Parsed] = end.value
            return events


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(json.dumps(UNKNOWN), LINES), (json.dumps({"events": [UNKNOWN]}), "application/json")],
)
def test_of_unknown_fields_the_first_is_named_and_no_schema_is_asked(
    body: str, content_type: str
) -> None:
    assert parsed(body.encode(), content_type) == ["'a': no such field"]


def test_a_line_that_is_no_object_is_refused() -> None:
    assert parsed(b"[1]\n", LINES) == ["body: must be a JSON object"]
