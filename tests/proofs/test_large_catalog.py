"""A short form of `python -m proofs large_catalog`; latency itself is not tested."""

import numpy as np

from benchmarks.load.plan import Outcome
from benchmarks.subjects.large_catalog import LargeCatalog
from benchmarks.subjects.subject import random_student
from proofs.large_catalog import answer_figures, figures
from tests.exported_once import exported_once

__all__ = ["exported_once"]  # a fixture

NUM_ITEMS = 3_000


def test_two_workers_serve_histories_of_a_catalog_and_swap_to_its_next_version() -> None:
    generator = np.random.default_rng(0)
    histories = generator.integers(1, NUM_ITEMS + 1, (200, 5)).tolist()
    catalog = LargeCatalog(random_student(NUM_ITEMS), histories)

    found = {
        each.name: each for each in figures(catalog, seconds=1.0, rate=50, warm_up_seconds=0.5)
    }

    assert found["items"].value == NUM_ITEMS
    assert found["answers"].value == 50
    assert found["failed requests"].holds
    assert found["answers degraded, or not the student's"].holds
    p50, p90 = (found[f"p{each} at 50 requests/s, REDIS_TIMEOUT_SECONDS=5"] for each in (50, 90))
    assert p50.value <= p90.value
    assert found["peak of a swap"].value > found["memory of one worker"].value > 0


def test_a_degraded_answer_and_a_failed_request_each_miss_their_bar() -> None:
    now = np.zeros(10)
    outcomes = [
        Outcome(now, failures, sent_late=0, seconds=1, cpu_seconds=1, num_sent=10, due=now)
        for failures in ({}, {"wrong answer": 1}, {"503": 2, "lost connection": 1})
    ]
    assert [each.value for each in answer_figures(outcomes)] == [3, 1]
    assert [each.holds for each in answer_figures(outcomes[1:2])] == [True, False]
    assert [each.holds for each in answer_figures(outcomes[2:])] == [False, True]
