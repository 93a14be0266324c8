"""Tests of the load generator, against a server whose delays and failures are known."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

import numpy as np
import orjson
import pytest

from benchmarks.load import generator
from benchmarks.load.connection import post
from benchmarks.load.generator import run, run_in_process
from benchmarks.load.plan import NO_PREDECESSOR, Plan, Times, even, poisson
from tests.conftest import TIMEOUT_SECONDS

Serve = Callable[..., Any]


def plan_for(port: int, due: Times | None, bodies: Sequence[object] = (), **options: Any) -> Plan:
    bodies = bodies or [{"number": number} for number in range(0 if due is None else len(due))]
    return Plan(
        port=port,
        requests=[post("/", orjson.dumps(body)) for body in bodies],
        due=due,
        **{"predecessors": [NO_PREDECESSOR] * len(bodies), **options},
    )


def test_the_latency_contains_the_delay_of_the_server(serve: Serve) -> None:
    server = serve(lambda number: 0.5 if number % 2 else 0.03)
    outcome = run(plan_for(server.port, even(50, 0.2)))
    assert (outcome.latencies[0::2] >= 0.03).all()
    assert (outcome.latencies[1::2] >= 0.5).all()
    assert outcome.latencies[0::2].min() < outcome.latencies[1::2].max()
    assert outcome.num_failed == 0


def test_a_stall_counts_for_every_request_that_was_due_meanwhile(serve: Serve) -> None:
    server = serve(lambda number: 0.5 if number == 0 else 0.0, one_at_a_time=True)
    due = even(100, 0.4)
    outcome = run(plan_for(server.port, due, [{}] * len(due)))  # the first to arrive stalls
    # A generator that waits for answers would see one slow request and 39 quick ones.
    assert (outcome.latencies >= 0.5 - due).all()


def test_waiting_for_a_connection_counts(serve: Serve) -> None:
    server = serve(lambda _: 0.05)
    outcome = run(plan_for(server.port, np.zeros(6), connections=2))
    assert server.most_at_once <= 2
    # Three rounds of two requests.
    assert (np.sort(outcome.latencies) >= np.repeat([0.05, 0.1, 0.15], 2)).all()


def test_a_click_awaits_the_answer_to_the_click_before_it(serve: Serve) -> None:
    def delay(number: int) -> float:
        while number == 0 and not server.answered:  # until the last click is answered
            time.sleep(0.01)
        return 0.1 if number == 0 else 0.0

    server = serve(delay)
    outcome = run(plan_for(server.port, np.zeros(4), predecessors=[-1, 0, 1, -1]))
    numbers = [body["number"] for body in server.answered]
    assert numbers == [3, 0, 1, 2]
    assert (outcome.latencies[:3] >= 0.1).all()


def test_failures_are_counted_by_what_went_wrong(serve: Serve) -> None:
    refusing, wrong = serve(status=503), serve()
    assert run(plan_for(refusing.port, np.zeros(3))).failures == {"503": 3}
    expecting = plan_for(wrong.port, np.zeros(2), proofs=(b'"number":1',))
    assert run(expecting).failures == {"wrong answer": 1}


def test_a_request_without_an_answer_counts_until_the_end_of_the_run(serve: Serve) -> None:
    server = serve(lambda _: 30.0)
    outcome = run(plan_for(server.port, np.zeros(1), grace_seconds=0.3))
    assert outcome.failures == {"no answer": 1}
    assert outcome.latencies.max() >= 0.3


def test_a_run_is_aborted_where_the_server_stops_answering(serve: Serve) -> None:
    server = serve(lambda _: 30.0)
    with pytest.raises(TimeoutError, match="no answer for"):
        run(plan_for(server.port, None, [{}], silence_seconds=0.2))


def test_the_warm_up_is_sent_and_not_counted(serve: Serve) -> None:
    server = serve()
    outcome = run(plan_for(server.port, even(100, 0.2), warm_up_seconds=0.1))
    assert len(server.bodies) == outcome.num_sent == 20
    assert len(outcome.latencies) == 10


def test_the_delay_of_the_generator_within_the_warm_up_is_not_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = generator._Generator._connection

    def slow_at_first(self: Any, now: float) -> Any:
        time.sleep(0.3 if now < 0.2 else 0.0)
        return connect(self, now)

    monkeypatch.setattr(generator._Generator, "_connection", slow_at_first)
    plan = plan_for(serve().port, np.array([0.0, 0.01, 1.0]), warm_up_seconds=0.5)
    assert run(plan).sent_late < 0.2


@pytest.mark.parametrize("due", [[], [0.0]])
def test_a_run_without_a_request_after_the_warm_up_is_refused(
    serve: Serve, due: list[float]
) -> None:
    with pytest.raises(ValueError, match="no request is due after the warm-up"):
        run(plan_for(serve().port, np.array(due), warm_up_seconds=0.1))


def test_a_closed_loop_keeps_its_connections_busy_until_time_is_up(serve: Serve) -> None:
    first = threading.Barrier(3, timeout=TIMEOUT_SECONDS)

    def delay(number: int) -> float:
        if number < 3:  # each on a connection of its own
            first.wait()
        return 0.02

    server = serve(delay)
    bodies = [{"number": number} for number in range(10_000)]
    outcome = run(plan_for(server.port, None, bodies, connections=3, seconds=0.2))
    assert server.most_at_once == 3
    assert len(outcome.latencies) == len(server.bodies) < 3 * 0.2 / 0.02 + 4
    assert outcome.num_failed == 0


def test_a_connection_that_the_server_closes_costs_one_request(serve: Serve) -> None:
    server = serve(lambda number: 1 / 0 if number == 1 else 0.0)
    outcome = run(plan_for(server.port, even(20, 0.2)))
    assert outcome.failures == {"lost connection": 1}


def test_a_port_without_a_server_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        run(plan_for(1, np.zeros(1)))


def test_a_run_in_a_process_of_its_own_measures_the_same(serve: Serve) -> None:
    outcome = run_in_process(plan_for(serve(lambda _: 0.05).port, np.zeros(2)))
    assert (outcome.latencies >= 0.05).all()
    assert outcome.cpu_seconds > 0


class _Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


def test_a_generator_that_is_killed_is_an_error() -> None:
    with pytest.raises(BrokenExecutor):
        run_in_process(_Deadly())  # type: ignore[arg-type]


def test_random_arrivals_are_as_many_as_evenly_spaced_ones() -> None:
    due = poisson(100, 2.0, np.random.default_rng(0))
    assert len(due) == len(even(100, 2.0)) == 200
    assert (np.diff(due) >= 0).all()
    assert due[-1] < 2.0
