"""Retries, waits and bounds of the client of a server with OpenAI's API."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from training.errors import ConfigError, EndpointError
from training.settings.endpoint import EndpointConfig
from training.teacher.endpoint import client
from training.teacher.endpoint.client import KEY_VARIABLE, Endpoint, api_key, open_endpoint

URL = "http://nowhere/v1/embeddings"
MAX_BYTES = 1_000


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.seconds, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.seconds += seconds
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    return clock


def endpoint_of(
    clock: Clock, answer: Callable[[httpx.Request], httpx.Response], **settings: float
) -> Endpoint:
    config = EndpointConfig.model_validate({"retries": 2, **settings})
    endpoint = Endpoint(config, transport=httpx.MockTransport(answer))
    endpoint._interrupted.wait = clock.wait  # type: ignore[method-assign, assignment]
    return endpoint


def in_turn(*responses: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Answers with each response once, and with the last one for ever."""
    left: Iterator[httpx.Response | Exception] = iter(responses)

    def answer(_: httpx.Request) -> httpx.Response:
        response = next(left, responses[-1])
        if isinstance(response, Exception):
            raise response
        return response

    return answer


WELL = httpx.Response(200, json={"well": True})
DEAD = httpx.ConnectError("refused")


@pytest.mark.parametrize("content", [b"", b'{"well": tr'])
@pytest.mark.parametrize("headers", [{}, {"Content-Length": "12"}])
def test_a_response_that_is_cut_short_is_asked_for_again(
    clock: Clock, content: bytes, headers: dict[str, str]
) -> None:
    """The server was killed in the middle of a response, which a proxy may have completed."""
    cut = httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))
    assert endpoint_of(clock, in_turn(cut, WELL)).post(URL, {}, MAX_BYTES) == {"well": True}
    assert len(clock.pauses) == 1

    whole = httpx.Response(200, stream=httpx.ByteStream(b'{"well": true}\n'))
    assert endpoint_of(clock, in_turn(whole)).post(URL, {}, MAX_BYTES) == {"well": True}
    assert len(clock.pauses) == 1


def test_a_pause_is_as_long_as_the_server_asks_for_else_it_doubles(clock: Clock) -> None:
    busy = httpx.Response(429, headers={"Retry-After": "7"})
    unclear = httpx.Response(503, headers={"Retry-After": "soon"})
    endpoint = endpoint_of(clock, in_turn(busy, unclear, httpx.Response(500), WELL), retries=3)

    assert endpoint.post(URL, {}, MAX_BYTES) == {"well": True}

    assert clock.pauses == [7, 1, 2]


def test_a_server_may_ask_for_a_pause_by_a_date_but_not_for_more_than_ten_minutes(
    clock: Clock,
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    later = httpx.Response(503, headers={"Retry-After": soon})
    never = httpx.Response(429, headers={"Retry-After": "99999999"})

    endpoint_of(clock, in_turn(later, never, WELL)).post(URL, {}, MAX_BYTES)

    assert clock.pauses == [pytest.approx(100, abs=5), 600]


def test_a_date_that_is_over_asks_for_no_pause_and_one_without_a_zone_is_in_utc(
    clock: Clock,
) -> None:
    over = httpx.Response(503, headers={"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"})
    later = datetime.now(UTC) + timedelta(seconds=100)
    zoneless = f"{later:%a, %d %b %Y %H:%M:%S} -0000"  # no zone is known, says RFC 5322
    unzoned = httpx.Response(503, headers={"Retry-After": zoneless})

    endpoint_of(clock, in_turn(over, unzoned, WELL)).post(URL, {}, MAX_BYTES)

    assert clock.pauses == [0, pytest.approx(100, abs=5)]


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 2024 00:00:99999999999999999999 GMT",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    ],
)
def test_a_pause_that_is_no_date_is_as_if_none_were_asked_for(clock: Clock, date: str) -> None:
    unclear = httpx.Response(503, headers={"Retry-After": date})
    endpoint_of(clock, in_turn(unclear, WELL)).post(URL, {}, MAX_BYTES)
    assert clock.pauses == [0.5]


def test_a_server_that_has_answered_is_waited_for_and_told_once(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pauses of 0.5, 1, 2, 4, 8, 16 and then 30 seconds: the eighth attempt is after 61.5."""
    endpoint = endpoint_of(clock, in_turn(WELL, *[DEAD] * 7, WELL), outage_seconds=62)
    endpoint.post(URL, {}, MAX_BYTES)

    assert endpoint.post(URL, {}, MAX_BYTES) == {"well": True}

    assert clock.seconds == 61.5
    told = "ConnectError refused; it has answered before, so it is waited for, 62 s"
    assert capsys.readouterr().out == f"{URL}: {told}\n"


def test_each_outage_is_told(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    outage = [DEAD] * 3
    endpoint = endpoint_of(clock, in_turn(WELL, *outage, WELL, *outage, WELL))
    for _ in range(3):
        endpoint.post(URL, {}, MAX_BYTES)
    assert capsys.readouterr().out.count("so it is waited for") == 2


def test_it_is_not_waited_for_longer_than_the_settings_allow(clock: Clock) -> None:
    endpoint = endpoint_of(clock, in_turn(WELL, DEAD), outage_seconds=61)
    endpoint.post(URL, {}, MAX_BYTES)
    with pytest.raises(EndpointError, match=f"{URL}: ConnectError refused"):
        endpoint.post(URL, {}, MAX_BYTES)
    assert clock.seconds == 31.5


def test_a_server_that_never_answered_gets_no_more_than_the_retries(clock: Clock) -> None:
    with pytest.raises(EndpointError, match="ConnectError"):
        endpoint_of(clock, in_turn(DEAD)).post(URL, {}, MAX_BYTES)
    assert clock.pauses == [0.5, 1]


def test_an_interrupted_client_waits_no_more() -> None:
    endpoint = Endpoint(EndpointConfig(), transport=httpx.MockTransport(in_turn(DEAD)))
    endpoint.interrupt()
    with pytest.raises(EndpointError, match="interrupted after ConnectError"):
        endpoint.post(URL, {}, MAX_BYTES)


def test_a_response_that_is_too_long_is_refused(clock: Clock) -> None:
    endpoint = endpoint_of(clock, in_turn(httpx.Response(200, content=b" " * (MAX_BYTES + 1))))
    with pytest.raises(EndpointError, match="the response has more than 1000 bytes"):
        endpoint.post(URL, {}, MAX_BYTES)


def test_a_response_in_drops_is_cut_off_after_the_time_of_a_request(clock: Clock) -> None:
    def drops() -> Iterator[bytes]:
        for _ in range(100):
            clock.seconds += 1
            yield b" "

    slow = (httpx.Response(200, content=drops()) for _ in range(2))
    endpoint = endpoint_of(clock, lambda _: next(slow), timeout_seconds=10, retries=1)
    with pytest.raises(EndpointError, match="ReadTimeout the response takes too long"):
        endpoint.post(URL, {}, MAX_BYTES)
    assert clock.seconds == 11 + 0.5 + 11


def test_a_key_is_sent_without_the_line_break_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "s3cret\r\n")
    assert api_key() == "s3cret"


@pytest.mark.parametrize("key", ["s3cret\rkey", "s3crét", "s3cret\x1b"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(ConfigError, match=r"^OPENAI_API_KEY: has characters other than [\w ]+$"):
        open_endpoint(EndpointConfig())


def test_a_response_whose_compression_is_damaged_is_refused(clock: Clock) -> None:
    damaged = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Damaged())
    with pytest.raises(EndpointError, match=f"{URL}: DecodingError"):
        endpoint_of(clock, in_turn(damaged)).post(URL, {}, MAX_BYTES)


class Damaged(httpx.SyncByteStream):
    """A body that is no gzip."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"no gzip"


def test_a_redirect_is_an_error_so_that_the_key_goes_nowhere_else(clock: Clock) -> None:
    away = httpx.Response(307, headers={"Location": "http://elsewhere"})
    with pytest.raises(EndpointError, match="307"):
        endpoint_of(clock, in_turn(away)).post(URL, {}, MAX_BYTES)
