"""Fast lanes answer generated requests as FastAPI does, and the proof sees where they do not."""

import pytest

from proofs.fixtures.places import EXAMPLE
from proofs.fuzz.lanes import compare
from service.http.lanes import fast_lane


def test_a_lane_answers_generated_requests_as_fastapi_does() -> None:
    tally = compare(EXAMPLE, 300)
    assert tally.differences == []
    assert tally.share(500, 600) == 0
    assert tally.share(200, 400) >= 0.3


def test_a_lane_that_ignores_the_content_type_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_lane, "_is_common", lambda *_: True)
    assert compare(EXAMPLE, 600).differences
