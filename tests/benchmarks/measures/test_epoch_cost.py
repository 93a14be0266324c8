"""What distillation adds to an epoch, by a clock that only steps move."""

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.measures import epoch_cost
from benchmarks.measures.epoch_cost import PLAIN

NUM_BATCHES = 20


class Clock:
    """CPU-seconds."""

    now = 0.0

    def process_time(self) -> float:
        return self.now


class Stepping:
    """A trainer whose every step takes as long as it is told."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.windows = SimpleNamespace(epoch=lambda *_: range(NUM_BATCHES))
        self.student = SimpleNamespace(train=lambda: None)

    def step(self, _: int) -> None:
        self.clock.now += self.seconds


def test_an_epoch_costs_its_steps_and_is_held_against_the_plain_students(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(epoch_cost, "time", clock)
    trainers: Any = {PLAIN: Stepping(clock, 0.5), "as configured": Stepping(clock, 0.625)}
    runs = [epoch_cost._turns(trainers, range(begin, begin + 3)) for begin in (1, 4)]
    assert runs == [{PLAIN: 10.0, "as configured": 12.5}] * 2
    plain, distilled, times = epoch_cost._figures("chain", runs)
    assert (plain.value, distilled.value) == (10, 12.5)
    assert (times.value, times.bar) == (1.25, "≤ 1.50")
    assert times.name == "distilled epoch over plain, chain, as configured"
