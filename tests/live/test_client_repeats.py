"""Which requests the Python clients send again, when, and with which ids."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import httpx
import pytest

from recommender_client import (
    ApiRequest,
    AsyncClient,
    Client,
    RefusedError,
    client,
    deadline,
    questions,
)
from recommender_client.deadline import Deadline
from recommender_client.repeats import Repeats
from tests.conftest import TIMEOUT_SECONDS

Answer = httpx.Response | httpx.TransportError


def ok() -> httpx.Response:
    return httpx.Response(200, json={"status": "ok"})


def refusal(status: int, **headers: str) -> httpx.Response:
    problem = {"title": "No", "status": status, "detail": "not now"}
    media_type = {"Content-Type": "application/problem+json"}
    return httpx.Response(status, headers={**media_type, **headers}, content=json.dumps(problem))


def refused_at_once(status: int) -> httpx.Response:
    return refusal(status, **{"Retry-After": "0"})


class Server:
    """Gives one answer after the other, and keeps the bodies of the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.bodies: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content) if request.content else None)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    def client(self, **options: Any) -> Client:
        return client_of(httpx.MockTransport(self), **options)


def client_of(transport: httpx.BaseTransport, **options: Any) -> Client:
    http = httpx.Client(base_url="http://service", transport=transport, timeout=20)
    return Client(http, **options)


def test_a_refused_event_is_sent_again_with_the_id_of_the_first_try() -> None:
    stored = httpx.Response(200, json={"stored": True})
    server = Server(refused_at_once(503), refused_at_once(429), stored)
    with server.client() as client:
        assert client.ask(questions.append_event("ann", item_id="1"))["stored"]
    first, *others = [each["event_id"] for each in server.bodies]
    assert len(first) == 32
    assert others == [first, first]


@pytest.mark.parametrize("body", ['{"type": "about:blank"}', '{"title": "Forbidden"}'])
def test_a_refusal_of_a_proxy_may_lack_what_the_service_always_tells(body: str) -> None:
    problem = {"Content-Type": "application/problem+json"}
    with (
        Server(httpx.Response(403, headers=problem, text=body)).client() as client,
        pytest.raises(RefusedError, match="403 Forbidden: ") as caught,
    ):
        client.ask(questions.is_alive())
    assert caught.value.status == 403


@pytest.mark.parametrize("body", ["<html>", "[]"])
def test_a_refusal_whose_body_is_no_object_is_an_error_of_its_status(body: str) -> None:
    problem = {"Content-Type": "application/problem+json"}
    with (
        Server(httpx.Response(403, headers=problem, text=body)).client() as client,
        pytest.raises(httpx.HTTPStatusError, match="403"),
    ):
        client.ask(questions.is_alive())


def test_two_calls_with_one_question_are_two_events_unless_it_has_an_id() -> None:
    server = Server(ok(), ok(), ok())
    with server.client() as client:
        question = questions.append_event("ann", item_id="1")
        client.ask(question)
        client.ask(question)
        client.ask(questions.append_event("ann", item_id="1", event_id="mine"))
    ids = [each["event_id"] for each in server.bodies]
    assert len(set(ids)) == 3
    assert ids[2] == "mine"


def test_each_event_of_a_list_gets_an_id_unless_it_has_one() -> None:
    server = Server(httpx.Response(200, json={"events": []}))
    with server.client() as client:
        client.ask(
            questions.append_events(
                [
                    {"session_id": "a", "item_id": "1"},
                    {"session_id": "b", "item_id": "2", "event_id": "mine"},
                ]
            )
        )
    ((first, second),) = [each["events"] for each in server.bodies]
    assert len(first["event_id"]) == 32
    assert second["event_id"] == "mine"


@pytest.mark.parametrize(
    ("question", "answer", "num_requests"),
    [
        (questions.is_alive(), httpx.Response(502, text="<html>"), 3),
        (questions.is_alive(), httpx.ReadError("reset"), 3),
        (questions.is_alive(), httpx.ReadTimeout("late"), 1),
        (questions.is_alive(), refusal(503, **{"Retry-After": "86400"}), 1),
        (questions.rollback_model("key"), refused_at_once(503), 1),
        *[(questions.is_alive(), refusal(status), 1) for status in (401, 403, 404, 409, 422, 500)],
    ],
)
def test_only_what_may_pass_soon_is_repeated_and_twice_at_most(
    question: ApiRequest[Any], answer: Answer, num_requests: int
) -> None:
    server = Server(*[answer] * num_requests)
    with (
        server.client() as client,
        pytest.raises((RefusedError, httpx.HTTPStatusError, httpx.TransportError)),
    ):
        client.ask(question)
    assert len(server.bodies) == num_requests


def test_repeats_can_be_switched_off() -> None:
    server = Server(refused_at_once(503))
    with server.client(repeats=0) as client, pytest.raises(RefusedError):
        client.ask(questions.is_alive())


@pytest.mark.anyio
async def test_the_async_client_repeats_likewise() -> None:
    server = Server(refused_at_once(503), ok())
    http = httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(server))
    async with AsyncClient(http) as client:
        assert await client.ask(questions.is_alive()) == {"status": "ok"}


def test_retry_after_is_seconds_or_a_date_and_without_it_the_wait_is_short() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True)
    for given, low, high in (("7", 7, 7.25), (in_an_hour, 3500, 3600.25), ("soon", 0, 0.1)):
        repeats = Repeats(questions.is_alive(), 1, Deadline(4000))
        wait = repeats.wait_after(refusal(503, **{"Retry-After": given}))
        assert wait is not None
        assert low <= wait <= high, given


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 2024 00:00:99999999999999999999 GMT",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    ],
)
def test_a_retry_after_that_is_no_date_is_as_if_there_were_none(date: str) -> None:
    wait = Repeats(questions.is_alive(), 1, Deadline(1)).wait_after(
        refusal(503, **{"Retry-After": date})
    )
    assert wait is not None
    assert 0 <= wait <= 0.1


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    monkeypatch.setattr(deadline, "time", clock)
    return clock


class SlowRefusals:
    """Refuses each request after four seconds; keeps the time that a try has for its steps."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.timeouts: list[dict[str, float]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.timeouts.append(dict(request.extensions["timeout"]))
        self.clock.sleep(4)
        return refusal(503, **{"Retry-After": "4"})


def test_all_tries_and_waits_of_a_call_share_one_timeout(clock: Clock) -> None:
    """The second try ends after 12 s, or .25 later; a wait of 4 would end after 16."""
    server = SlowRefusals(clock)
    transport = httpx.MockTransport(server)
    with client_of(transport, timeout_seconds=15) as late, pytest.raises(RefusedError):
        late.ask(questions.is_alive())

    assert clock.seconds == pytest.approx(12, abs=0.25)
    first, second = server.timeouts
    assert first == {"connect": 15, "read": 15, "write": 15, "pool": 15}
    assert all(each == pytest.approx(7, abs=0.25) for each in second.values())


def test_a_step_has_no_more_time_than_the_http_client_gives_it(clock: Clock) -> None:
    server = SlowRefusals(clock)
    transport = httpx.MockTransport(server)
    with client_of(transport, timeout_seconds=60, repeats=0) as own, pytest.raises(RefusedError):
        own.ask(questions.is_alive())
    assert server.timeouts == [{"connect": 20, "read": 20, "write": 20, "pool": 20}]


class Drops(httpx.SyncByteStream):
    """A body of which a space comes each second; keeps when it is closed."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.closed_at = clock, 0.0

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(1_000):
            self.clock.sleep(1)
            yield b" "

    def close(self) -> None:
        self.closed_at = self.clock.seconds


def test_an_answer_in_drops_ends_at_the_timeout_and_its_connection_is_closed(clock: Clock) -> None:
    drops = Drops(clock)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=drops))
    late = r"no answer within 15 s, repeats included"
    with (
        client_of(transport, timeout_seconds=15) as slow,
        pytest.raises(httpx.ReadTimeout, match=late),
    ):
        slow.ask(questions.is_alive())
    assert drops.closed_at == 15


@pytest.mark.anyio
async def test_an_awaited_call_ends_at_its_timeout_whatever_the_server_does() -> None:
    async def silent(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        return ok()

    http = httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(silent))
    with anyio.fail_after(TIMEOUT_SECONDS):
        async with AsyncClient(http, timeout_seconds=0.01) as client:
            with pytest.raises(httpx.ReadTimeout, match=r"no answer within 0\.01 s") as late:
                await client.ask(questions.is_alive())
    assert late.value.request.url.path == "/healthz"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
