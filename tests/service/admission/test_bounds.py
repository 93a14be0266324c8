"""Bounds of the number of requests of one kind, and of the bytes of incomplete bodies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message, Receive

from service.admission.bounds import Bodies, Bound
from service.errors import OverloadedError

pytestmark = pytest.mark.anyio


async def test_in_a_turn_of_the_event_loop_no_more_places_are_promised_than_are_free() -> None:
    refusals = list[str]()
    bound = Bound("teacher", 3, refusals.append)
    place = bound.enter()
    assert [bound.promises_none() for _ in range(4)] == [False, False, True, True]
    assert refusals == ["teacher", "teacher"]
    bound.check()  # promised places are not taken yet
    await asyncio.sleep(0)
    bound.enter()
    assert [bound.promises_none() for _ in range(2)] == [False, True]
    await asyncio.sleep(0)
    place.end()
    assert [bound.promises_none() for _ in range(3)] == [False, False, True]


def parts(*bodies: bytes) -> Receive:
    """The parts of a body that never ends."""
    messages = [{"type": "http.request", "body": each, "more_body": True} for each in bodies]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


@asynccontextmanager
async def sending(bodies: Bodies, key: str, length: int) -> AsyncIterator[None]:
    """A request of a key has sent a part of its body while the context is open."""
    task = asyncio.create_task(bodies.receive(parts(b"x" * length), key))
    await asyncio.sleep(0)
    yield
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_a_key_may_have_as_many_bytes_in_incomplete_bodies_as_are_left_free() -> None:
    refusals = list[str]()
    bodies = Bodies(refusals.append, max_bytes=12)
    async with sending(bodies, "a", 6):  # and 6 are free
        with pytest.raises(OverloadedError):
            await bodies.receive(parts(b"x"), "a")
    assert refusals == ["receiving"]
    async with sending(bodies, "a", 6):  # those of before are given back
        pass


async def test_a_key_that_sends_slowly_leaves_room_for_others() -> None:
    bodies = Bodies(lambda _: None, max_bytes=12)
    async with sending(bodies, "a", 6), sending(bodies, "b", 3):  # and 3 are free
        with pytest.raises(OverloadedError):
            await bodies.receive(parts(b"x"), "b")


async def test_a_body_that_arrives_whole_is_received_though_no_bytes_are_free() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    message = await Bodies(lambda _: None, max_bytes=0).receive(receive, "a")
    assert message["body"] == b"{}"
