from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import psutil
import pytest
from redis import Redis

from benchmarks.errors import BenchmarkError
from benchmarks.load.clicks import Click
from benchmarks.load.connection import post
from benchmarks.load.plan import Outcome
from benchmarks.load.workloads import (
    HISTORY_LENGTH,
    NUM_REGULARS,
    NUM_TEMPLATES,
    SERVICE,
    Endpoint,
    closed_loop,
    fill_regulars,
    regulars,
    require_answers,
    visitors,
    with_key,
)
from benchmarks.measures.breakdown import Servers
from benchmarks.subjects.loaded_service import LoadedService
from benchmarks.subjects.processes import RunningProgram, running_redis

ITEMS = [f"item-{number}" for number in range(40)]
ECHO = Endpoint(lambda click: post("/", orjson.dumps(vars(click))), (b"item",))


def test_visitors_of_another_seed_have_other_sessions() -> None:
    first, second = ({each.session_id for each in visitors(ITEMS, 500, seed)} for seed in (0, 1))
    assert len(visitors(ITEMS, 500)) == 500
    assert not first & second


def test_every_request_carries_the_api_key_that_the_endpoint_is_made_for() -> None:
    (plain,), (request,) = (
        closed_loop([Click("a b", "7")], each, port=1).requests
        for each in (SERVICE, with_key("k1.secret"))
    )
    line, rest = plain.split(b"\r\n", 1)
    assert request == line + b"\r\nauthorization: Bearer k1.secret\r\n" + rest


def test_a_click_becomes_a_request_of_the_service() -> None:
    (request,) = closed_loop([Click("a b", "7")], SERVICE, port=1).requests
    head, body = request.split(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/sessions/a%20b/events?k=20 HTTP/1.1\r\n")
    assert orjson.loads(body) == {"item_id": "7"}


def test_regulars_are_filled_with_histories_that_the_server_itself_has_stored(
    serve: Callable[..., Any],
) -> None:
    with running_redis() as redis, Redis(port=redis.port, decode_responses=True) as client:
        server = serve()
        server.on_body = lambda body: client.rpush(f"s:{body['session_id']}", body["item_id"])
        fill_regulars(redis.port, server.port, ECHO, ITEMS)
        named = {click.session_id for click in regulars(ITEMS, 20_000)}
        assert len(named) == NUM_REGULARS
        assert {client.llen(f"s:{each}") for each in named} == {HISTORY_LENGTH}


def test_a_session_that_an_older_release_names_by_its_id_is_found(
    serve: Callable[..., Any],
) -> None:
    with running_redis() as redis, Redis(port=redis.port, decode_responses=True) as client:
        server = serve()
        server.on_body = lambda body: client.rpush(f"s:{body['session_id']}", body["item_id"])
        fill_regulars(redis.port, server.port, replace(ECHO, key_of=lambda _: "none"), ITEMS)
        assert client.llen("s:regular-0") == HISTORY_LENGTH


def test_a_server_that_fails_on_the_first_clicks_is_not_measured(serve: Callable[..., Any]) -> None:
    with running_redis() as redis, pytest.raises(BenchmarkError, match="503"):
        fill_regulars(redis.port, serve(status=503).port, ECHO, ITEMS)


def test_histories_are_filled_anew_after_a_moment_without_redis(serve: Callable[..., Any]) -> None:
    with running_redis() as redis, Redis(port=redis.port, decode_responses=True) as client:
        server = serve(status=503)
        clicks_of_a_round = HISTORY_LENGTH * NUM_TEMPLATES

        def answer(body: Mapping[str, Any]) -> None:
            server.status = 503 if len(server.bodies) <= clicks_of_a_round else 200
            client.rpush(f"s:{body['session_id']}", body["item_id"])

        server.on_body = answer
        fill_regulars(
            redis.port, server.port, replace(ECHO, key_of=lambda each: f"s:{each}"), ITEMS
        )
        assert len(server.bodies) == 2 * clicks_of_a_round
        assert client.llen("s:regular-0") == HISTORY_LENGTH


def test_the_cost_of_refused_requests_is_not_taken_for_that_of_answers(
    serve: Callable[..., Any],
) -> None:
    program = RunningProgram(serve(status=503).port, 0.0, psutil.Process())
    subject = SimpleNamespace(item_ids=ITEMS)
    loaded: Any = LoadedService(subject, program, program)  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError, match="503"):
        loaded.run_saturated(0.2).cost()
    with pytest.raises(BenchmarkError, match="503"):
        Servers(subject, program, program, program, 0.2).cost(program, SERVICE)  # type: ignore[arg-type]


def test_one_lost_answer_of_a_hundred_does_not_end_a_benchmark() -> None:
    outcome = Outcome(
        latencies=np.ones(100),
        failures={"503": 1},
        sent_late=0.0,
        seconds=1.0,
        cpu_seconds=0.1,
        num_sent=100,
        due=np.zeros(100),
    )
    assert require_answers(outcome) is outcome
    with pytest.raises(BenchmarkError, match="2 of 100 requests failed"):
        require_answers(replace(outcome, failures={"503": 2}))
