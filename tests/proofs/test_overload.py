"""A short form of `python -m proofs overload`: what holds on a machine of any speed."""

import asyncio
import math
import time

import pytest

from proofs.fixtures.load import streams
from proofs.fixtures.load.requests import HEALTH
from proofs.fixtures.load.streams import (
    NO_ANSWER,
    OK,
    REFUSED,
    Answer,
    Stream,
    p99,
    running,
    share_not_sent,
)
from proofs.overload import accepted_figure, prove
from proofs.overload.stage import health_figures, not_sent_figure, refusal_ms

TIMED = ("p99", "goodput", "memory", "offered", "not sent", "accepted")

TRIES = 3  # a stall while the sustainable rate is measured leaves too few requests


def test_too_many_requests_are_answered_or_refused_and_none_is_lost() -> None:
    for _ in range(TRIES):
        figures = list(prove(seconds=2, normal_seconds=0.5, turns=1, kind=["batch"]))
        untimed = [each for each in figures if not any(word in each.name for word in TIMED)]
        assert [each.name for each in untimed if not each.holds] == []
        if sum(each.value for each in figures if each.name.endswith(": refused")) > 0:
            return
    pytest.fail(f"no request was refused in {TRIES} runs")


def test_a_service_that_answers_no_light_request_and_no_health_check_meets_no_target() -> None:
    refused = [Answer(0, 0.001, REFUSED), Answer(0, 0.001, NO_ANSWER)]
    assert p99(refused, OK) == math.inf
    assert [each.holds for each in health_figures("", refused)] == [False, False]
    assert [each.holds for each in health_figures("", [Answer(0, 0.001, OK)])] == [True, True]


def test_refusals_have_a_latency_if_there_are_any() -> None:
    assert refusal_ms([Answer(0, 0.001, REFUSED), Answer(0, 5, OK)]) == pytest.approx(1)
    assert refusal_ms([Answer(0, 5, OK)]) == 0


def test_requests_that_find_no_connection_or_a_late_generator_are_not_sent_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MAX_CONNECTIONS", 3)
    stream = asyncio.run(stream_of_a_late_generator(rate=100, late_seconds=0.5))
    assert stream.num_sent == 3
    assert stream.unsent >= 1
    assert stream.left_out >= 100 * 0.5 - 2 - 1  # the last 20 ms are made up for
    assert stream.num_due == stream.num_sent + stream.unsent + stream.left_out
    assert share_not_sent([stream]) == pytest.approx(1 - 3 / stream.num_due)
    assert not not_sent_figure("", [stream]).holds


async def stream_of_a_late_generator(rate: float, late_seconds: float) -> Stream:
    """Sends to a server that never answers, and holds this process up once."""

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    async with await asyncio.start_server(end, "127.0.0.1", 0) as server:
        stream = Stream(server.sockets[0].getsockname()[1], [HEALTH])
        async with running(stream, rate):
            while not stream.unsent:
                await asyncio.sleep(0.01)
            time.sleep(late_seconds)  # the event loop has to be late
            await asyncio.sleep(0.05)
            ended.set()
    return stream


def test_a_stream_of_which_nothing_was_due_meets_no_target() -> None:
    assert not not_sent_figure("", [Stream(1, [HEALTH])]).holds


@pytest.mark.parametrize(
    ("kind", "accepted", "holds"),
    [
        ("batch", 99, True),
        ("batch", 98, False),
        ("explain", 98, False),
        ("compare", 98, False),
        ("filters", 50, True),
        ("light", 50, True),
    ],
)
def test_light_requests_are_accepted_beside_a_flood_that_is_not_admitted_as_they_are(
    kind: str, accepted: int, holds: bool
) -> None:
    answers = [Answer(0, 0.001, OK if each < accepted else REFUSED) for each in range(100)]
    assert accepted_figure("", kind, answers).holds == holds
