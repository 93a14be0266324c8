"""Real workers of a small application, whose event loop a request can block.

`test_watching.py` has the times after which the supervisor acts.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from proofs.fixtures.processes.waiting import free_port
from proofs.fixtures.processes.workers import (
    wait_until_both_serve,
    wait_until_one_is_replaced,
    workers_of,
)
from tests.service.conftest import PATIENCE_SECONDS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


class Service:
    """Two supervised workers on one port."""

    def __init__(self, app: str) -> None:
        self.port = free_port()
        config = f"uvicorn.Config({app!r}, port={self.port}, workers=2)"
        program = "import uvicorn; from service.processes.serving import serve; "
        self.parent = psutil.Popen(
            [sys.executable, "-c", f"{program}serve({config}, 0.5, {PATIENCE_SECONDS})"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(HERE)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_both_serve(self) -> set[psutil.Process]:
        """Waits until each of two workers has accepted a connection; returns the workers."""
        return wait_until_both_serve(self.parent, self.port)

    @contextmanager
    def asked(self, path: str) -> Iterator[None]:
        """Sends a request to either worker, and waits until it is worked on."""
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: s\r\n\r\n".encode())
            with suppress(ConnectionError):  # the worker has ended
                connection.recv(1)
            yield


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


@pytest.mark.parametrize("path", ["/block", "/end?code=0"])
def test_a_worker_whose_event_loop_is_blocked_or_that_ends_is_replaced(
    service: Service, path: str
) -> None:
    before = workers_of(service.parent)
    with service.asked(path):
        wait_until_one_is_replaced(before, service.parent)
    service.wait_until_both_serve()


def test_workers_end_when_their_supervisor_was_killed(service: Service) -> None:
    workers = workers_of(service.parent)
    service.parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE_SECONDS)
    assert alive == []


def test_sigterm_ends_the_service_though_a_worker_is_blocked(service: Service) -> None:
    with service.asked("/block"):
        service.parent.send_signal(signal.SIGTERM)
        assert service.parent.wait(timeout=PATIENCE_SECONDS) == 0


def test_an_application_that_no_worker_can_start_ends_the_service_with_code_3() -> None:
    with running("no_such_app:app") as service:
        _, errors = service.parent.communicate(timeout=PATIENCE_SECONDS)
    assert service.parent.returncode == 3
    assert "cannot start: the service ends" in errors
