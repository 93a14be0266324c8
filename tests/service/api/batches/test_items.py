"""Changes of items are parsed in slices of 100."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.api.batches.items import changes_in


@pytest.mark.parametrize(("must_stop", "num_parsed"), [(lambda: False, 250), (lambda: True, 100)])
def test_a_worker_that_leaves_parses_no_further_slice(
    must_stop: Callable[[], bool], num_parsed: int
) -> None:
    changes = [{"item_id": str(number), "hidden": True} for number in range(250)]
    slices = changes_in(json.dumps({"items": changes}).encode(), "application/json", must_stop)
    parsed: Any = None
    try:
        while True:
            next(slices)
    except StopIteration as end:
        parsed = end.value
    assert [each.item_id for each in parsed] == [str(number) for number in range(num_parsed)]


def test_more_attributes_than_an_item_may_have_are_refused_before_the_schema_checks_each() -> None:
    change = {"item_id": "a", "attributes": {str(number): 5 for number in range(17)}}
    slices = changes_in(json.dumps(change).encode(), "application/x-ndjson", lambda: False)
    next(slices)
    with pytest.raises(StopIteration) as end:
        next(slices)
    (refused,) = end.value.value
    assert (refused.item_id, refused.detail) == ("a", "attributes: has more than 16 names")
