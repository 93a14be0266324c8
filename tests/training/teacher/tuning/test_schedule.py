from itertools import chain

import numpy as np
import pytest

from training.settings.teacher import TeacherConfig
from training.teacher.llm.windows import Window
from training.teacher.tuning.schedule import StepPlan

LENGTHS = np.array([100, 300, 200, 500, 100, 250, 50])
WINDOWS = [Window(start, start + 1, np.array([start + 1])) for start in range(len(LENGTHS))]


def plan_of(**tuner: float) -> StepPlan:
    config = TeacherConfig.model_validate({"tuner": {"tokens_per_batch": 512, **tuner}})
    return StepPlan(WINDOWS, LENGTHS, config)


def starts_of(plan: StepPlan, steps: range) -> list[int]:
    batches = chain.from_iterable(plan.batches(step) for step in steps)
    return [window.start for batch in batches for window in batch]


def test_every_window_is_seen_once_an_epoch_in_another_order() -> None:
    plan = plan_of(epochs=2)
    half = plan.total_steps // 2
    first, second = starts_of(plan, range(half)), starts_of(plan, range(half, 2 * half))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


def test_a_step_does_not_depend_on_the_steps_taken_before() -> None:
    walked, jumped = plan_of(), plan_of()
    starts_of(walked, range(5))
    assert starts_of(walked, range(5, 6)) == starts_of(jumped, range(5, 6))


def test_a_step_has_the_configured_number_of_batches() -> None:
    one, two = plan_of(), plan_of(batches_per_step=2)
    assert starts_of(two, range(1)) == starts_of(one, range(2))
    assert two.tokens(0) == one.tokens(0) + one.tokens(1) == LENGTHS[starts_of(two, range(1))].sum()


def test_the_number_of_epochs_may_be_fractional() -> None:
    whole, half = plan_of(epochs=1), plan_of(epochs=0.5)
    assert half.total_steps == round(whole.total_steps / 2)
    assert whole.total_tokens == LENGTHS.sum()


def test_the_learning_rate_rises_over_the_warmup_and_falls_to_zero() -> None:
    plan = plan_of(epochs=10, warmup_steps=3)
    factors = [plan.learning_rate_factor(step) for step in range(plan.total_steps)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert np.diff(factors[3:]) == pytest.approx(-1 / (plan.total_steps - 3))
    assert plan.learning_rate_factor(plan.total_steps) == 0
