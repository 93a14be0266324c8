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
