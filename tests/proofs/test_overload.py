"""A short form of `python -m proofs overload`: what holds on a machine of any speed."""

import math

import pytest

from proofs.fixtures.load.streams import NO_ANSWER, OK, REFUSED, Answer, p99
from proofs.overload import prove
from proofs.overload.stage import health_figures, refusal_ms

TIMED = ("p99", "goodput", "memory", "offered")

TRIES = 3  # a stall while the sustainable rate is measured leaves too few requests


def test_too_many_requests_are_answered_or_refused_and_none_is_lost() -> None:
    for _ in range(TRIES):
        figures = list(prove(seconds=2, normal_seconds=0.5, turns=1, kind=["batch"]))
        untimed = [each for each in figures if not any(word in each.name for word in TIMED)]
        assert [each.name for each in untimed if not each.holds] == []
        if sum(each.value for each in figures if each.name.endswith(": refused")) > 0:
            return
    pytest.fail(f"no request was refused in {TRIES} runs")


def test_a_service_that_answers_no_light_request_and_no_health_check_meets_no_target() -> None:
    refused = [Answer(0, 0.001, REFUSED), Answer(0, 0.001, NO_ANSWER)]
    assert p99(refused, OK) == math.inf
    assert [each.holds for each in health_figures("", refused)] == [False, False]
    assert [each.holds for each in health_figures("", [Answer(0, 0.001, OK)])] == [True, True]


def test_refusals_have_a_latency_if_there_are_any() -> None:
    assert refusal_ms([Answer(0, 0.001, REFUSED), Answer(0, 5, OK)]) == pytest.approx(1)
    assert refusal_ms([Answer(0, 5, OK)]) == 0
