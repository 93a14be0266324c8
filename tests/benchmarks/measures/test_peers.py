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
from benchmarks.measures.peers import OURS, best_batching
from benchmarks.measures.peers.servers import PEERS, Batching
from benchmarks.options import Options


def outcome(rate: float, p99_ms: float = 1_000.0, **failures: int) -> Outcome:
    latencies = np.full(10, p99_ms / 1_000)
    seconds = (10 - sum(failures.values())) / rate
    return Outcome(latencies, failures, 0.0, seconds, 0.1, 10, np.zeros(10))


SMALL, MIDDLE, LARGE = (Batching(size, 1) for size in (4, 8, 16))


def test_the_batches_of_a_peer_are_those_of_most_answers_within_the_time() -> None:
    tried = {SMALL: outcome(500, 5), MIDDLE: outcome(700, 19), LARGE: outcome(900, 20)}
    assert best_batching(tried) == MIDDLE


def test_a_peer_that_is_never_within_the_time_has_the_batches_of_most_answers() -> None:
    tried = {SMALL: outcome(500, 30), MIDDLE: outcome(700, 190), LARGE: outcome(600, 20)}
    assert best_batching(tried) == MIDDLE


def test_batches_that_a_peer_refuses_requests_with_are_not_chosen() -> None:
    refusing = outcome(900, 5, **{"503": 2})
    assert best_batching({SMALL: outcome(500, 30), LARGE: refusing}) == SMALL


def test_both_servers_that_offer_batches_are_asked_with_and_without() -> None:
    batched = {name for name, peer in PEERS.items() if peer.settings}
    assert batched == {"LitServe, batches", "BentoML, batches"}
    assert {name.removesuffix(", batches") for name in batched} < PEERS.keys()


def test_no_server_is_always_the_first_and_each_ratio_is_that_of_one_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    with_batching: dict[str, Batching | None] = {}

    def saturate(*arguments: Any) -> Outcome:
        *_, name, batching, seconds = arguments
        if seconds == peers.SEARCH_SECONDS:
            return outcome(100.0 * batching.size)
        asked.append(name)
        with_batching.update({name: batching})
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
    sizes = {name: each.size if each else None for name, each in with_batching.items()}
    batched = {"LitServe, batches": 16, "BentoML, batches": 16}
    assert sizes == dict.fromkeys(servers) | batched
