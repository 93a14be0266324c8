"""The route that takes events of many sessions, with the store in memory and in Redis."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from export.contract.log.segments import SegmentWriter
from service.admission.gate import Turn
from service.api.batches.events import events_in
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture(params=["embedded", "redis"])
async def client(
    request: pytest.FixtureRequest, bundle_path: Path, connect: "Connect"
) -> AsyncIterator[httpx.AsyncClient]:
    settings: dict[str, Any] = {"bundle_path": bundle_path}
    if request.param == "redis":
        settings |= {"redis_url": request.getfixturevalue("redis_server").url}
    async with connect(Settings.model_validate(settings)) as client:
        yield client


def event(session_id: str, item_id: str, **more: Any) -> dict[str, Any]:
    return {"session_id": session_id, "item_id": item_id, **more}


async def post(client: httpx.AsyncClient, *events: Any) -> list[dict[str, Any]]:
    response = await client.post("/v1/events", json={"events": events})
    assert response.status_code == 200, response.text
    outcomes: list[dict[str, Any]] = response.json()["events"]
    return outcomes


async def history(client: httpx.AsyncClient, session_id: str) -> Any:
    return (await client.get(f"/v1/sessions/{session_id}")).json().get("history")


async def test_events_of_many_sessions_are_stored_in_their_order(
    client: httpx.AsyncClient,
) -> None:
    sent = [event(f"s{number % 40}", f"i{number}") for number in range(400)]
    outcomes = await post(client, *sent)
    assert outcomes == [{"stored": True, "reason": None, "logged": None, "detail": None}] * 400
    for number in range(40):
        expected = [f"i{each}" for each in range(number, 400, 40)]
        assert await history(client, f"s{number}") == expected


async def test_the_events_of_a_session_share_their_writes_to_the_disk(
    tmp_path: Path, bundle_path: Path, connect: "Connect", monkeypatch: pytest.MonkeyPatch
) -> None:
    write, end, ended = SegmentWriter.write, Turn.end, list[Turn]()
    num_ended: list[int] = []  # turns that had ended, at each write

    def counted(writer: SegmentWriter, records: bytes) -> None:
        num_ended.append(len(ended))
        write(writer, records)

    def end_and_tell(turn: Turn) -> None:
        ended.append(turn)
        end(turn)

    monkeypatch.setattr(SegmentWriter, "write", counted)
    monkeypatch.setattr(Turn, "end", end_and_tell)
    settings = {"bundle_path": bundle_path, "event_log": "on", "event_log_path": tmp_path / "log"}
    async with connect(Settings.model_validate(settings)) as client:
        outcomes = await post(client, *(event("a", f"i{number}") for number in range(400)))
        stored = await history(client, "a")
    assert all(each["logged"] for each in outcomes)
    assert stored == [f"i{number}" for number in range(200, 400)]
    assert 1 <= len(num_ended) <= 40  # one each 16 events, if the disk is as fast as the loop
    assert min(num_ended) == 1  # heavy work does not wait for the disk


async def test_each_event_has_an_outcome_of_its_own(client: httpx.AsyncClient) -> None:
    outcomes = await post(
        client,
        event("a", "1", event_id="e1"),
        event("a", "2", consent=False),
        {"session_id": "a"},
        event("a", "3", event_type="play"),
        event("a", "4", value="9"),
        "no event",
        event("a", "1", event_id="e1"),
        event("a", "5"),
    )
    reasons = [each["reason"] for each in outcomes]
    invalid = ["invalid"] * 4
    assert reasons == [None, "no_consent", *invalid, None, None]
    assert [each["detail"] for each in outcomes[2:6]] == [
        "item_id: Field required",
        "event_type: must be one of click, view, cart, purchase (EVENT_TYPES), not 'play'",
        "value: Input should be a valid number, not '9'",
        "body: must be a JSON object",
    ]
    assert await history(client, "a") == ["1", "5"]


async def test_a_value_whose_square_would_overflow_sums_is_refused(
    client: httpx.AsyncClient,
) -> None:
    outcomes = await post(client, *(event("a", "1", value=each) for each in (1e12, -1e12, 1e308)))
    assert [each["detail"] for each in outcomes] == [
        None,
        None,
        "value: Input should be less than or equal to 1000000000000, not 1e+308",
    ]


async def test_lines_of_json_are_read_like_a_list(client: httpx.AsyncClient) -> None:
    lines = [json.dumps(event("a", "1")), "", "{", json.dumps(event("a", "2")), ""]
    response = await client.post("/v1/events", content="\n".join(lines), headers=LINES)
    outcomes = response.json()["events"]
    assert [each["reason"] for each in outcomes] == [None, "invalid", None]
    assert outcomes[1]["detail"].startswith("body: is not JSON")
    assert await history(client, "a") == ["1", "2"]


async def test_a_full_request_fits(client: httpx.AsyncClient) -> None:
    more = {
        "event_type": "view",
        "value": 1.5,
        "recommendation_id": "0" * 48,
        "consent": True,
    }
    sent = [event(f"s{n % 100}", f"{n}", event_id=f"e{n}", **more) for n in range(1_000)]
    assert all(each["stored"] for each in await post(client, *sent))


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b'{"events": []}', "application/json", "events: must be 1 to 1,000 events, not 0"),
        (b"", "application/x-ndjson", "events: must be 1 to 1,000 events, not 0"),
        (b"{}\n" * 1_001, "application/x-ndjson", "1 to 1,000 events, not 1001"),
        (b'{"events": [', "application/json", "body: is not JSON"),
        (b"[]", "application/json", "must be a JSON object with the one key `events`"),
        (b'{"events": 3}', "application/json", "events: must be a list of events"),
        (b"{}", "text/plain", "body: must be sent as application/json or as application/x-ndjson"),
        (b'{"events": [' + b"[" * 12_001, "application/json", "more than 12000 keys, objects"),
    ],
)
async def test_a_body_without_such_events_is_refused(
    client: httpx.AsyncClient, body: bytes, content_type: str, says: str
) -> None:
    headers = {"content-type": content_type}
    response = await client.post("/v1/events", content=body, headers=headers)
    assert response.status_code == 422
    assert says in response.json()["detail"]


def test_events_are_parsed_in_slices() -> None:
    body = json.dumps({"events": [event("a", "1")] * 1_000}).encode()
    slices = events_in(body, "application/json")
    assert sum(1 for _ in slices) == 10
