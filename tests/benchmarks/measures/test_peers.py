"""The servers that the service is compared with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.load.plan import Outcome
from benchmarks.measures import peers
from benchmarks.measures.peers import OURS, PEERS
from benchmarks.options import Options


def outcome(rate: float) -> Outcome:
    return Outcome(np.ones(10), {}, 0.0, 10 / rate, 0.1, 10, np.zeros(10))


def test_no_server_is_always_the_first_and_each_ratio_is_that_of_one_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def saturate(name: str, *_: Any) -> Outcome:
        asked.append(name)
        return outcome(
            (400.0 if name == OURS else 100.0) * (1 + (len(asked) - 1) // (1 + len(PEERS)))
        )

    @contextmanager
    def no_redis() -> Iterator[None]:
        yield

    monkeypatch.setattr(peers, "_saturate", saturate)
    monkeypatch.setattr(peers, "running_redis", no_redis)
    monkeypatch.setattr(peers, "make_subject", lambda _: SimpleNamespace(origin="a test"))
    options = Options(Path("work"), is_quick=False, peers_python=Path("python"), core_hour=0.04)
    findings = peers.measure(options)
    servers = [OURS, *PEERS]
    assert asked == [*servers, *servers[::-1], *servers]
    assert findings.figures[0].runs == (4, 4, 4)
