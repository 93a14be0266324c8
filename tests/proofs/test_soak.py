"""A short form of `python -m proofs soak`."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Sequence
from http.client import HTTPConnection

import psutil
import pytest

from proofs.fixtures.load.visitors import Load
from proofs.fixtures.processes.service import serving
from proofs.fixtures.repeated import Repeated
from proofs.soak import Sample, grown, prove
from tests.conftest import TIMEOUT_SECONDS

WARM_UP_REQUESTS, REQUESTS = 1_000, 4_000
MAX_LEAKED_BYTES = 500  # of a request; a process that leaks nothing grew by less than 10

LEAKING = """
from service.__main__ import run
from service.http.protocol import LimitedProtocol
kept, complete = [], LimitedProtocol.on_message_complete
def leak(self):
    kept.append(b"x" * (1_000 + len(kept) % 2))
    complete(self)
LimitedProtocol.on_message_complete = leak
run([])
"""
"""A program that serves, and keeps a kilobyte of each request."""


def test_swaps_and_restarts_of_redis_under_load_make_no_error_and_leave_nothing_open() -> None:
    """Memory is not compared: its first two swaps cost 20 MiB, and a leak of 1 kB a request 0.4."""
    figures = {
        each.name: each for each in prove(minutes=0.2, rate=60, swap_seconds=3, restart_seconds=4)
    }
    assert figures["answers"].value > 5
    assert figures["errors and lost connections"].value == 0
    assert figures["swaps"].value >= 1
    assert figures["restarts of Redis"].value >= 1
    assert figures["swaps"].at_least == 3  # of four that are due
    assert figures["restarts of Redis"].at_least == 2  # of three
    assert figures["descriptors: growth"].holds
    assert figures["connections: growth"].holds


def test_a_request_leaves_no_memory_behind() -> None:
    assert asyncio.run(leaked_bytes()) < MAX_LEAKED_BYTES


def test_a_leak_of_a_kilobyte_a_request_is_noticed() -> None:
    assert asyncio.run(leaked_bytes("-c", LEAKING)) > MAX_LEAKED_BYTES


async def leaked_bytes(*program: str) -> float:
    """Returns by how many bytes a request makes the memory of a service grow, after a warm-up.

    `program`: arguments of Python that run the service; none for the service itself.
    """
    async with serving(program or ("-m", "service")) as (port, process):
        return await asyncio.to_thread(grown_by_requests, port, process)


def grown_by_requests(port: int, process: psutil.Process) -> float:
    client = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    send(client, WARM_UP_REQUESTS)
    before = process.memory_info().rss
    send(client, REQUESTS)
    grown = process.memory_info().rss - before
    client.close()
    return float(grown / REQUESTS)


def send(client: HTTPConnection, number: int) -> None:
    histories: Sequence[Sequence[str]] = (["1", "1196"], ["2571"], ["1", "2571", "1196"])
    for each in range(number):
        body = json.dumps({"history": histories[each % len(histories)], "k": 10})
        client.request("POST", "/v1/recommendations", body, {"content-type": "application/json"})
        answer = client.getresponse()
        answer.read()
        assert answer.status == 200


def test_growth_leaves_out_the_first_fifth_in_which_caches_fill() -> None:
    memory = [10, 50, 50, 50, 50, 50, 50, 50, 57, 57]
    samples = [Sample(each, 0, 0, 0) for each in memory]
    assert grown(samples, "memory_mib") == 7


def test_an_action_that_fails_ends_the_proof_instead_of_being_left_out() -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise RuntimeError("no swap")

    with pytest.raises(RuntimeError, match="no swap"), Repeated(fail, 0.01) as repeated:
        assert failed.wait(TIMEOUT_SECONDS)
    assert repeated.num_done == 0


def test_a_load_whose_visitors_have_ended_ends_the_proof() -> None:
    """A service answers without a length, which a visitor cannot read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_without_a_length, args=(listener,), daemon=True).start()
        with pytest.raises(ExceptionGroup) as raised, Load(listener.getsockname()[1], rate=60):
            time.sleep(0.5)
    assert raised.group_contains(ValueError, match="int")


def answer_without_a_length(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4_096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.recv(4_096)
