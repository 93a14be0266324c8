import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import anyio
import httpx
import pytest
from starlette.responses import PlainTextResponse

from service.http.draining import CloseWhileDraining, Drain
from tests.service.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

HOUR = 3600.0


@pytest.fixture
def stopped() -> Iterator[list[int]]:
    """The signals that reached the server's own handler."""
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    yield signals
    signal.signal(signal.SIGTERM, before)


async def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)


async def test_after_sigterm_a_worker_goes_on_and_is_draining(
    stopped: list[int],
) -> None:
    drain = Drain(HOUR)
    with drain.on_sigterm():
        assert not drain.is_draining
        await terminate()
        assert drain.is_draining
        assert stopped == []


async def test_a_worker_stops_when_its_drain_time_is_over(stopped: list[int]) -> None:
    with Drain(0.01).on_sigterm():
        await terminate()
        with anyio.fail_after(PATIENCE_SECONDS):
            while not stopped:
                await asyncio.sleep(0.01)
        assert stopped == [signal.SIGTERM]


async def test_a_second_signal_does_not_wait(stopped: list[int]) -> None:
    with Drain(HOUR).on_sigterm():
        await terminate()
        await terminate()
        assert stopped == [signal.SIGTERM]


async def test_without_a_time_to_drain_the_server_stops_at_once(stopped: list[int]) -> None:
    with Drain(0).on_sigterm():
        await terminate()
        assert stopped == [signal.SIGTERM]


@pytest.mark.parametrize("is_draining", [False, True])
async def test_answers_of_a_draining_worker_close_their_connection(*, is_draining: bool) -> None:
    drain = Drain(HOUR)
    drain.is_draining = is_draining
    transport = httpx.ASGITransport(CloseWhileDraining(PlainTextResponse("here"), drain))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        answer = await client.get("/")
    assert (answer.text, answer.headers.get("connection")) == (
        "here",
        "close" if is_draining else None,
    )


def test_a_server_in_a_thread_leaves_signals_alone(stopped: list[int]) -> None:
    def run() -> None:
        async def serve() -> None:
            with Drain(HOUR).on_sigterm():
                pass

        asyncio.run(serve())

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert stopped == []
