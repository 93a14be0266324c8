"""Rounds of the cost of a request are independent of each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.measures import request_cost
from benchmarks.measures.request_cost import GRAPH, REDIS_PY, SOCKET
from benchmarks.options import Options


def test_every_round_asks_a_service_that_was_started_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[int] = []

    @contextmanager
    def service(*_: object) -> Iterator[float]:
        started.append(len(started))
        yield 100.0 * len(started)

    @contextmanager
    def redis() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(port=0)

    def loaded(_: object, microseconds: float, __: object) -> SimpleNamespace:
        run = SimpleNamespace(cost=lambda: microseconds)
        return SimpleNamespace(
            reset_histories=lambda: None, run_at=lambda _: run, run_saturated=lambda _: run
        )

    parts: Any = dict.fromkeys((GRAPH, REDIS_PY, SOCKET), lambda: None)
    monkeypatch.setattr(
        request_cost, "make_subject", lambda _: SimpleNamespace(bundle=Path(), origin="")
    )
    monkeypatch.setattr(request_cost, "running_redis", redis)
    monkeypatch.setattr(request_cost, "running_service", service)
    monkeypatch.setattr(request_cost, "LoadedService", loaded)
    monkeypatch.setattr(request_cost, "KEYS", {})
    monkeypatch.setattr(request_cost, "_bare_parts", lambda *_: parts)
    monkeypatch.setattr(request_cost, "paced_cpu_us", lambda *_: 50.0)
    options = Options(Path("work"), is_quick=False, peers_python=Path("python"), core_hour=0.04)
    by_name = {each.name: each for each in request_cost.measure(options).figures}

    assert len(started) == 5
    assert by_name["service, saturated"].runs == (100, 200, 300, 400, 500)
    paced = by_name["service at 1,000 requests/s over bare graph + bare Redis, 1,000 a second"]
    assert paced.runs == (2, 4, 6, 8, 10)
