"""Tests of the cost of a training step, with a clock that only steps advance."""

import sys
from pathlib import Path
from subprocess import PIPE, Popen
from types import SimpleNamespace

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.measures import step_cost
from benchmarks.measures.step_cost import REFERENCE, stepper_of
from benchmarks.subjects import training_steps


def test_a_step_is_compared_with_the_one_that_was_measured_beside_it() -> None:
    turns = {
        REFERENCE: [100.0, 200.0, 100.0, 80.0, 80.0, 80.0],
        "packed windows, 40 % scored": [40.0, 90.0, 50.0, 40.0, 40.0, 20.0],
    }

    before, now, ratio = step_cost.figures(turns, 3, step_cost.TARGETS["amazon-games-cpu"])

    assert (before.name, before.unit, before.runs) == (
        "training step, c4abec0",
        "ms CPU",
        (100, 80),
    )
    assert now.runs == (50, 40)
    assert ratio.runs == (0.45, 0.5)  # medians of .4, .45, .5 and of .5, .5, .25
    assert (ratio.target, ratio.holds) == ("≤ 0.500", True)


def test_a_request_takes_its_steps_and_begins_anew_after_the_last_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []
    clock = SimpleNamespace(process_time=lambda: 2.0 * len(taken))
    monkeypatch.setattr(training_steps, "time", clock)
    trainer = SimpleNamespace(step=taken.append)

    seconds = list(training_steps.answer(["0 1\n", "1 3\n"], trainer, ["a", "b", "c"]))

    assert taken == ["a", "b", "c", "a"]
    assert seconds == [2, 2]


def test_modules_are_found_by_their_names_of_this_version() -> None:
    assert all(callable(training_steps.find(name)) for name in training_steps.MODULES)


def test_a_process_that_ended_is_an_error_and_no_measurement() -> None:
    with Popen([sys.executable, "-c", ""], stdin=PIPE, stdout=PIPE, bufsize=0) as ended:
        ended.wait()
        with pytest.raises(BenchmarkError, match="the process ended"):
            stepper_of(ended).take_turn(0)


def test_a_commit_that_history_lacks_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="0000000: not in the history"):
        step_cost._check_out("0000000", tmp_path)
