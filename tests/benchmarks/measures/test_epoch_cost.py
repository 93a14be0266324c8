"""Tests of the cost of an epoch, with a clock that only training steps advance."""

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.measures import epoch_cost
from benchmarks.measures.epoch_cost import TEACHER_FREE

NUM_BATCHES = 20


class Clock:
    """A replacement for `time` that returns `now`, in CPU seconds."""

    now = 0.0

    def process_time(self) -> float:
        return self.now


class FakeTrainer:
    """A trainer whose steps each advance the clock by `seconds`."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.windows = SimpleNamespace(epoch=lambda *_: range(NUM_BATCHES))
        self.student = SimpleNamespace(train=lambda: None)

    def step(self, _: int) -> None:
        self.clock.now += self.seconds


def test_an_epoch_costs_its_steps_and_is_compared_with_the_teacher_free_students(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(epoch_cost, "time", clock)
    trainers: Any = {
        TEACHER_FREE: FakeTrainer(clock, 0.5),
        "as configured": FakeTrainer(clock, 0.625),
    }
    runs = [epoch_cost._take_turns(trainers, range(begin, begin + 3)) for begin in (1, 4)]
    assert runs == [{TEACHER_FREE: 10.0, "as configured": 12.5}] * 2
    teacher_free, distilled, times = epoch_cost._figures("chain", runs)
    assert (teacher_free.value, distilled.value) == (10, 12.5)
    assert (times.value, times.target) == (1.25, "≤ 1.50")
    assert times.name == "distilled epoch over plain, chain, as configured"
