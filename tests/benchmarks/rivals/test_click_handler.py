"""A peer that gathers requests into batches gives the answers of one that does not."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.rivals.click_handler import (
    ClickRequest,
    histories_of,
    onnx_batch_ranker,
    onnx_ranker,
    store_clicks,
)
from benchmarks.subjects.subject import export_subject, random_student, synthetic_items
from tests.exported_once import exported_once

__all__ = ["exported_once"]  # a fixture for all tests below

NUM_ITEMS = 300


class Pipeline:
    """A pipeline that records the commands which it is given."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.commands.append((name, *arguments))


@pytest.mark.slow
def test_a_batch_of_histories_of_any_length_is_answered_as_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = synthetic_items(NUM_ITEMS)
    subject = export_subject(random_student(NUM_ITEMS), items, tmp_path / "bundle", "a test")
    monkeypatch.setenv("BUNDLE_PATH", str(subject.bundle))
    histories = [
        [items[(7 * at + length) % NUM_ITEMS].item_id for at in range(length)]
        for length in (1, 60, 50, 5, 51, 5)
    ]
    clicks = [ClickRequest(session_id="a", item_id=each[-1], k=4) for each in histories]
    clicks[2].k = 7

    answers = onnx_batch_ranker()(clicks, histories)

    ranker = onnx_ranker()
    for answer, click, history in zip(answers, clicks, histories, strict=True):
        alone = ranker.recommend(history, click.k)["items"]
        assert [each["item_id"] for each in answer["items"]] == [each["item_id"] for each in alone]
        scores = [each["score"] for each in alone]
        assert [each["score"] for each in answer["items"]] == pytest.approx(scores, abs=1e-5)


def test_the_histories_of_a_batch_are_the_last_results_of_each_click() -> None:
    clicks = [ClickRequest(session_id=each, item_id="x", k=1) for each in "ab"]
    commands = store_clicks(Pipeline(), clicks).commands
    read = [number for number, (name, *_) in enumerate(commands) if name == "lrange"]
    results = [f"result {number}" for number in range(len(commands))]
    assert histories_of(results) == [results[each] for each in read]
    assert len(read) == 2
