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


def seen(plan: StepPlan, steps: range) -> list[int]:
    batches = chain.from_iterable(plan.batches(step) for step in steps)
    return [window.start for batch in batches for window in batch]


def test_every_window_is_seen_once_an_epoch_in_another_order() -> None:
    plan = plan_of(epochs=2)
    half = plan.total_steps // 2
    first, second = seen(plan, range(half)), seen(plan, range(half, 2 * half))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


def test_a_step_is_the_same_whichever_was_taken_before() -> None:
    walked, jumped = plan_of(), plan_of()
    seen(walked, range(5))
    assert seen(walked, range(5, 6)) == seen(jumped, range(5, 6))


def test_a_step_reads_as_many_batches_as_it_may() -> None:
    one, two = plan_of(), plan_of(batches_per_step=2)
    assert seen(two, range(1)) == seen(one, range(2))
    assert two.tokens(0) == one.tokens(0) + one.tokens(1) == LENGTHS[seen(two, range(1))].sum()


def test_epochs_may_be_parts_of_one() -> None:
    whole, half = plan_of(epochs=1), plan_of(epochs=0.5)
    assert half.total_steps == round(whole.total_steps / 2)
    assert whole.total_tokens == LENGTHS.sum()


def test_the_learning_rate_rises_over_the_warmup_and_falls_to_nothing() -> None:
    plan = plan_of(epochs=10, warmup_steps=3)
    factors = [plan.learning_rate_factor(step) for step in range(plan.total_steps)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert np.diff(factors[3:]) == pytest.approx(-1 / (plan.total_steps - 3))
    assert plan.learning_rate_factor(plan.total_steps) == 0
