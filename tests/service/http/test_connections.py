"""A sweep ends the connections that are late, and those whose clients read nothing."""

import asyncio

import pytest

from service.http import connections
from service.http.connections import NEVER, Connections
from tests.service.waiting import until

pytestmark = pytest.mark.anyio


class FakeConnection:
    """A connection that records how it was ended."""

    def __init__(self, deadline: float = NEVER) -> None:
        self.deadline = deadline
        self.answer: object | None = None
        self.ended = ""

    def expire(self) -> None:
        self.ended = "expired"

    def unread_answer(self) -> object | None:
        return self.answer

    def abort(self) -> None:
        self.ended = "aborted"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(connections, "READ_SECONDS", 1)


async def test_only_connections_that_are_late_are_ended() -> None:
    all_of = Connections(asyncio.get_running_loop())
    late = [FakeConnection(0.0) for _ in range(250)]  # more than a sweep ends at once
    in_time = FakeConnection()
    for each in (*late, in_time):
        all_of.add(each, "somewhere")
    await until(lambda: {each.ended for each in late} == {"expired"})
    assert in_time.ended == ""


async def test_a_client_that_reads_nothing_of_an_answer_is_ended() -> None:
    all_of = Connections(asyncio.get_running_loop())
    stuck, done = FakeConnection(), FakeConnection()
    stuck.answer = done.answer = object()
    for each in (stuck, done):
        all_of.add(each, "somewhere")
    await asyncio.sleep(0.1)  # at least one sweep
    done.answer = None
    await until(lambda: stuck.ended == "aborted")
    assert done.ended == ""


async def test_a_client_that_reads_one_answer_after_the_other_stays() -> None:
    all_of = Connections(asyncio.get_running_loop())
    slow = FakeConnection()
    all_of.add(slow, "somewhere")
    for _ in range(15):
        slow.answer = object()
        await asyncio.sleep(0.1)
    assert slow.ended == ""
