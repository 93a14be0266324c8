"""Two checkouts are compared in pairs, by the median of their ratios."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.options import ROOT
from benchmarks.results.intervals import median_interval
from benchmarks.subjects import cost_pairs
from benchmarks.subjects.cost_pairs import NUM_PAIRS, CostPairs, measure_pairs


def test_each_ratio_is_that_of_one_pair() -> None:
    assert CostPairs([1.0, 6.0], [2.0, 3.0]).ratios == (0.5, 2.0)


def test_the_interval_of_equal_ratios_is_a_point() -> None:
    assert median_interval([1.25] * 15) == (1.25, 1.25)


def test_the_interval_encloses_the_median_and_leaves_out_the_outliers() -> None:
    low, high = median_interval([0.1, *[1.0 + step / 100 for step in range(13)], 9.0])
    assert 1.0 <= low < 1.06 < high <= 1.12


def test_an_interval_is_the_same_in_every_run() -> None:
    values = [0.9, 1.0, 1.3, 1.1, 0.95]
    assert median_interval(values) == pytest.approx(median_interval(values))


def test_every_pair_starts_both_services_anew_and_no_two_run_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Path] = []
    running: list[Path] = []

    @contextmanager
    def service(_: Path, __: object, root: Path, **___: str) -> Iterator[int]:
        started.append(root)
        running.append(root)
        assert len(running) == 1
        yield len(started)
        running.remove(root)

    @contextmanager
    def redis() -> Iterator[None]:
        yield

    monkeypatch.setattr(cost_pairs, "running_redis", redis)
    monkeypatch.setattr(cost_pairs, "running_service", service)
    monkeypatch.setattr(cost_pairs, "_cost", lambda loaded, _: float(loaded.service))
    subject: Any = SimpleNamespace(bundle=Path("bundle"))
    pairs = measure_pairs(subject, other := Path("other"), 1.0)

    assert started[:4] == [ROOT, other, other, ROOT]
    assert len(started) == 2 * NUM_PAIRS
    assert sorted([*pairs.ours, *pairs.others]) == list(range(1, 2 * NUM_PAIRS + 1))
