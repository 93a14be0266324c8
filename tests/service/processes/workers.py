"""The processes of a service that a test started. Any of them may end while it is looked at."""

import socket
import time
from contextlib import ExitStack, suppress

import psutil

from tests.service.conftest import PATIENCE_SECONDS


def process_at(port: int) -> psutil.Process:
    """Returns the child of this process that listens at `port`."""
    children = psutil.Process().children()
    (process,) = (each for each in children if psutil.CONN_LISTEN in _states(each, port))
    return process


def workers_of(supervisor: psutil.Process) -> set[psutil.Process]:
    """Returns the workers that run."""
    return {each for each in supervisor.children() if _is_worker(each)}


def wait_until_both_serve(supervisor: psutil.Process, port: int) -> set[psutil.Process]:
    """Waits until each of two workers has accepted a connection; returns the workers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with ExitStack() as connections:
        while len(serving := _serving(supervisor, port)) < 2:
            assert supervisor.status() != psutil.STATUS_ZOMBIE
            assert time.monotonic() < deadline
            with suppress(ConnectionRefusedError):  # it does not listen yet
                connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            time.sleep(0.05)
    return serving


def wait_until_one_is_replaced(before: set[psutil.Process], supervisor: psutil.Process) -> None:
    """Waits until one of the workers in `before` has ended, and two workers run."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(now := workers_of(supervisor)) < 2 or before <= now:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def num_accepted(server: psutil.Process, port: int) -> int:
    """Returns how many connections at `port` the server has accepted."""
    return _states(server, port).count(psutil.CONN_ESTABLISHED)


def _serving(supervisor: psutil.Process, port: int) -> set[psutil.Process]:
    return {each for each in workers_of(supervisor) if num_accepted(each, port)}


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # it has ended; a zombie has, too
        return "spawn_main" in " ".join(process.cmdline())
    return False


def _states(process: psutil.Process, port: int) -> list[str]:
    """Returns the states of the sockets that `process` has at `port`; none once it has ended."""
    with suppress(psutil.Error):
        sockets = process.net_connections("tcp")
        return [each.status for each in sockets if each.laddr and each.laddr.port == port]
    return []
