"""The student and its teachers are asked with the same histories."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.measures import student_vs_teacher
from benchmarks.measures.student_vs_teacher import (
    HISTORIES_PER_ROUND,
    Recommender,
    histories_of_round,
    requests_to,
)
from benchmarks.options import Options

HISTORIES = [[f"item-{number}"] for number in range(40)]


def recommender(name: str, num_requests: int) -> Recommender:
    server: Any = nullcontext(name)
    return Recommender(name, "/path", num_requests, 1, b"", server)


def test_all_are_asked_with_the_same_histories_in_a_round_and_each_round_with_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, frozenset[bytes]]] = []

    outcome = SimpleNamespace(latencies=np.ones(1), rate=1.0)

    def measure_one(each: Recommender, _: object, histories: Any) -> SimpleNamespace:
        asked.append((each.name, frozenset(requests_to(each, histories))))
        return SimpleNamespace(sequential=outcome, concurrent=outcome)

    monkeypatch.setattr(student_vs_teacher, "demo_workplace", lambda _: None)
    monkeypatch.setattr(student_vs_teacher, "_histories", lambda _: HISTORIES)
    monkeypatch.setattr(student_vs_teacher, "_quality", lambda _: {})
    monkeypatch.setattr(
        student_vs_teacher,
        "_recommenders",
        lambda *_: [recommender("student", 6_000), recommender("teacher", HISTORIES_PER_ROUND)],
    )
    monkeypatch.setattr(student_vs_teacher, "_measure_one", measure_one)
    monkeypatch.setattr(student_vs_teacher, "_figures", lambda *_: ())
    options = Options(Path("work"), is_quick=False, peers_python=Path("python"), core_hour=0.04)
    student_vs_teacher.measure(options)

    by_name = {name: [each for of, each in asked if of == name] for name, _ in asked}
    assert by_name["student"] == by_name["teacher"]
    assert len(frozenset.union(*by_name["teacher"])) == 3 * HISTORIES_PER_ROUND


def test_a_student_is_asked_with_each_history_equally_often() -> None:
    sent = requests_to(recommender("student", 6_000), histories_of_round(HISTORIES, 1, 12))
    assert Counter(Counter(sent).values()) == {500: 12}
