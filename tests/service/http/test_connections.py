"""A sweep ends the connections that are late, and those whose clients read nothing."""

import asyncio

import pytest

from service.http import connections
from service.http.connections import NEVER, Connections
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.waiting import until

pytestmark = pytest.mark.anyio


class FakeConnection:
    """A connection that records how it was ended."""

    def __init__(self, deadline: float = NEVER) -> None:
        self.deadline = deadline
        self.answer: object | None = None
        self.num_bytes = 0
        self.ended = ""

    def expire(self) -> None:
        self.ended = "expired"

    def unread_answer(self) -> object | None:
        return self.answer

    def unread_bytes(self) -> int:
        return self.num_bytes

    def abort(self) -> None:
        self.ended, self.answer = "aborted", None


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


async def unread(all_of: Connections, *sizes: int) -> list[FakeConnection]:
    """Connections with unread answers of these sizes, the oldest first."""
    made = []
    for size in sizes:
        each = FakeConnection()
        each.answer, each.num_bytes = object(), size
        all_of.add(each, "somewhere")
        await asyncio.sleep(0.1)  # at least one sweep
        made.append(each)
    return made


async def test_the_oldest_unread_answers_are_ended_while_all_have_too_many_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(connections, "MAX_UNREAD_BYTES", 100)
    made = await unread(Connections(asyncio.get_running_loop()), 50, 50, 60)
    assert [each.ended for each in made] == ["aborted", "aborted", ""]


async def test_many_new_unread_bytes_are_looked_at_before_the_next_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_SWEEP_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(connections, "MAX_UNREAD_BYTES", 100)
    all_of = Connections(asyncio.get_running_loop())
    made = await unread(all_of, 60, 60)
    all_of.add_unread(60)
    await until(lambda: made[0].ended == "aborted")
    assert made[1].ended == ""
