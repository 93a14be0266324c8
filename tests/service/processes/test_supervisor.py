"""Real workers of a small application, whose event loop a request can block."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.service.conftest import PATIENCE_SECONDS
from tests.service.processes.workers import workers_of

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BUSY_SECONDS = 1  # for a busy machine


class Service:
    """Two supervised workers on one port."""

    def __init__(self, app: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = f"uvicorn.Config({app!r}, port={self.port}, workers=2)"
        program = "import uvicorn; from service.processes.serving import serve; "
        self.parent = psutil.Popen(
            [sys.executable, "-c", f"{program}serve({config}, 0.5, 60)"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(HERE)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def workers(self) -> set[int]:
        """Returns the process ids of the workers."""
        return {each.pid for each in workers_of(self.parent)}

    def ask(self, method: str, path: str, seconds: float = PATIENCE_SECONDS) -> httpx.Response:
        """Sends a request on a new connection."""
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=seconds)

    def wait_until_both_serve(self) -> set[int]:
        """Waits until each of two workers has answered; returns their process ids."""
        answered: set[int] = set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(answered & self.workers()) < 2:
            assert time.monotonic() < deadline
            assert self.parent.poll() is None
            with suppress(httpx.TransportError):
                answered.add(self.ask("GET", "/worker").json())
        return answered & self.workers()

    def wait_until_replaced(self, before: set[int], seconds: float) -> float:
        """Waits until one of two workers is another; returns the seconds that it took."""
        started = time.monotonic()
        while len(now := self.workers()) < 2 or now == before:
            assert time.monotonic() < started + seconds
            time.sleep(0.05)
        return time.monotonic() - started


@contextmanager
def running(app: str = "blocking_app:app") -> Iterator[Service]:
    service = Service(app)
    try:
        yield service
    finally:
        with suppress(psutil.NoSuchProcess):
            for each in [*service.parent.children(recursive=True), service.parent]:
                each.kill()
        service.parent.communicate()


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as service:
        service.wait_until_both_serve()
        yield service


def test_a_worker_whose_event_loop_is_blocked_is_replaced_within_5_s(service: Service) -> None:
    before = service.workers()
    with suppress(httpx.TransportError):
        service.ask("POST", "/block", seconds=0.2)
    service.wait_until_replaced(before, 5 + BUSY_SECONDS)
    assert len(service.workers() & before) == 1
    service.wait_until_both_serve()


def test_a_worker_that_ends_is_replaced(service: Service) -> None:
    before = service.workers()
    with suppress(httpx.TransportError):
        service.ask("POST", "/end?code=0")
    service.wait_until_replaced(before, PATIENCE_SECONDS)
    assert len(service.workers() & before) == 1
    service.wait_until_both_serve()


def test_workers_are_not_blamed_for_time_in_which_the_supervisor_was_stopped_too(
    service: Service,
) -> None:
    before = service.workers()
    processes = [service.parent, *map(psutil.Process, before)]
    for each in processes:
        each.suspend()
    time.sleep(4)
    for each in processes:
        each.resume()
    time.sleep(1)
    assert service.workers() == before


def test_workers_end_when_their_supervisor_was_killed(service: Service) -> None:
    workers = [psutil.Process(each) for each in service.workers()]
    service.parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=0.5 + 2 + 1 + BUSY_SECONDS)
    assert alive == []


def test_sigterm_ends_the_service_in_time_though_a_worker_is_blocked(service: Service) -> None:
    with suppress(httpx.TransportError):
        service.ask("POST", "/block", seconds=0.2)
    service.parent.send_signal(signal.SIGTERM)
    assert service.parent.wait(timeout=0.5 + 2 + BUSY_SECONDS) == 0


def test_an_application_that_no_worker_can_start_ends_the_service_with_code_3() -> None:
    with running("no_such_app:app") as service:
        _, errors = service.parent.communicate(timeout=PATIENCE_SECONDS)
    assert service.parent.returncode == 3
    assert "cannot start: the service ends" in errors
