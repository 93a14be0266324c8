"""A short form of `python -m proofs event_cost`; the time itself is not tested."""

from dataclasses import replace

import pytest

from benchmarks.load import generator
from benchmarks.load.plan import Outcome, Plan
from proofs import event_cost
from proofs.event_cost import Cost, cost_figures, prove

COLLECTOR = "collector: request, without its start"


def test_a_request_is_measured_with_and_without_the_event_log_and_one_failure_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(plan: Plan) -> Outcome:
        outcome = generator.run_in_process(plan)
        return replace(outcome, failures={**outcome.failures, "503": 1})

    monkeypatch.setattr(event_cost, "run_in_process", failing)
    figures = list(prove(starts=1, turns=1, seconds=0.2, steady_seconds=0.5))
    # A collector that has little to fetch may cost less than one that starts on a busy machine.
    assert [each.name for each in figures if not each.value > 0] in ([], [COLLECTOR])
    (failed,) = (each for each in figures if each.name == "requests without a good answer")
    assert failed.value >= 3  # one of each service in turns, and one at the constant rate
    assert not failed.holds


def test_the_whole_has_the_processor_time_of_service_redis_and_collector() -> None:
    pairs = [(Cost(200, 50, 0), Cost(210, 60, 0))] * 3
    values = {each.name: each.value for each in cost_figures(pairs, collector_us=80)}
    assert values["service: request with event log"] == 210
    assert values["Redis: request without event log"] == 50
    assert values["Redis: request with event log"] == 60
    assert values[COLLECTOR] == 80
    assert values["service: with over without"] == pytest.approx(1.05)
    assert values["whole: with over without"] == pytest.approx(350 / 250)
