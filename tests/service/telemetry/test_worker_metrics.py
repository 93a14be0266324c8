"""Metrics of several workers, scraped from any of them."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from proofs.fixtures.processes.workers import process_at, workers_of
from tests.service.conftest import PATIENCE_SECONDS, served

if TYPE_CHECKING:
    from tests.conftest import RedisServer

REQUESTS = 60
ROUTE = 'route="/v1/recommendations"'


@pytest.fixture
def url(bundle_path: Path, redis_server: "RedisServer") -> Iterator[str]:
    """Two workers behind one address."""
    with served(bundle_path=bundle_path, redis_url=redis_server.url, workers=2) as url:
        yield url


def ask(url: str) -> None:
    """Sends a request on a new connection, so that either worker may get it."""
    path, body = f"{url}/v1/recommendations", {"history": ["c"]}
    assert httpx.post(path, json=body, timeout=PATIENCE_SECONDS).is_success


def value(url: str, name: str, labels: str = "") -> float:
    return metric(url, f"recommender_{name}", labels)


def metric(url: str, name: str, labels: str = "") -> float:
    text = httpx.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text
    return sum(map(float, re.findall(rf"^{name}{{?.*{labels}.*}}? (\S+)$", text, re.M)))


def wait_for(url: str, name: str, expected: float, labels: str = "") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if value(url, name, labels) == expected:
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} is {value(url, name, labels)}, not {expected}")


def workers(url: str) -> set[psutil.Process]:
    """The workers of the service at `url`."""
    return workers_of(process_at(httpx.URL(url).port or 80))


@pytest.mark.slow
def test_every_worker_answers_with_the_metrics_of_all(url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: ask(url), range(REQUESTS)))
    wait_for(url, "request_seconds_count", REQUESTS, ROUTE)  # counted after the answer has gone
    assert {value(url, "request_seconds_count", ROUTE) for _ in range(20)} == {REQUESTS}
    assert value(url, "answers_total") == REQUESTS
    wait_for(url, "variant_info", 1)
    wait_for(url, "history_lost", 0)


@pytest.mark.slow
def test_counters_of_a_worker_that_died_are_kept_and_its_gauges_are_not(url: str) -> None:
    for _ in range(20):
        ask(url)
    wait_for(url, "request_seconds_count", 20, ROUTE)
    for each in workers(url):
        each.kill()
    wait_for(url, "variant_info", 1)
    assert value(url, "request_seconds_count", ROUTE) == 20


@pytest.mark.slow
def test_journalled_events_of_all_workers_are_counted_once_also_when_the_workers_have_died(
    bundle_path: Path, mortal_redis: "RedisServer", tmp_path: Path
) -> None:
    journal = {"store_outage": "journal", "journal_path": tmp_path / "journal"}
    with served(bundle_path=bundle_path, redis_url=mortal_redis.url, workers=2, **journal) as url:
        mortal_redis.kill()
        for _ in range(20):  # on new connections, so that either worker may get one
            event = {"item_id": "c"}
            httpx.post(f"{url}/v1/sessions/s/events", json=event, timeout=PATIENCE_SECONDS)
        wait_for(url, "history_journalled_events", 20)
        both = workers(url)
        for each in both:
            each.kill()
        psutil.wait_procs(both)
        wait_for(url, "history_journalled_events", 20)


@pytest.mark.slow
def test_cpu_and_memory_are_those_of_all_workers(url: str) -> None:
    """CPU time of workers that died is kept: Prometheus would read a fall as a restart of all."""
    wait_for(url, "variant_info", 1)
    both = workers(url)
    memory = sum(each.memory_info().rss for each in both)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while metric(url, "process_resident_memory_bytes") < 0.8 * memory:  # the second one is late
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = metric(url, "process_cpu_seconds_total")
    assert before > 0.2  # to start two took more
    for each in both:
        each.kill()
    wait_for(url, "variant_info", 1)
    assert metric(url, "process_cpu_seconds_total") >= before
