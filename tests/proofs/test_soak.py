"""A short form of `python -m proofs soak`."""

import socket
import threading
import time

import pytest

from proofs.fixtures.load.visitors import Load
from proofs.fixtures.repeated import Repeated
from proofs.soak import Sample, grown, prove
from tests.conftest import TIMEOUT_SECONDS


def test_swaps_and_restarts_of_redis_under_load_make_no_error_and_leave_nothing_open() -> None:
    figures = {
        each.name: each for each in prove(minutes=0.2, rate=60, swap_seconds=3, restart_seconds=4)
    }
    assert figures["answers"].value > 5
    assert figures["errors and lost connections"].value == 0
    assert figures["swaps"].value >= 1
    assert figures["restarts of Redis"].value >= 1
    assert figures["descriptors: growth"].holds
    assert figures["connections: growth"].holds


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
