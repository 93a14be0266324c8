"""Popular and trending items, on the ring, where h is the most popular in training, then g."""

import math
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.admission.caller import Caller
from service.settings import Settings
from tests.service.api.routes.catalog.runtime import runtime_of
from tests.service.waiting import until

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from tests.conftest import RedisServer
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

Open = Callable[..., "AbstractAsyncContextManager[httpx.AsyncClient]"]
PATH = "/v1/popular"
HOUR = 3_600


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets each request read the counts again."""
    for name in ("_FRESH_SECONDS", "_REST", "_KEPT_SECONDS"):
        monkeypatch.setattr(f"service.popularity.reading.{name}", 0.0)


@pytest.fixture(params=["memory", "redis_server"])
def opened(
    request: pytest.FixtureRequest, bundle_path: Path, tmp_path: Path, connect: "Connect"
) -> Open:
    """Opens a service with an event log."""
    settings: dict[str, Any] = {
        "bundle_path": bundle_path,
        "items_path": tmp_path / "items.jsonl",
        "event_log": "on",
        "event_log_path": tmp_path / "log",
        "session_secret": secrets.token_hex(32),
    }
    if request.param != "memory":
        server = request.getfixturevalue(request.param)
        settings |= {"redis_url": server.url, "redis_cluster": server.is_cluster}
    return lambda **more: connect(Settings.model_validate(settings | more))


async def store(client: httpx.AsyncClient, items: str, hours_ago: float = 0, **more: Any) -> None:
    """Stores an event for each letter, and counts them."""
    at = round((time.time() - hours_ago * HOUR) * 1000)
    sent = [
        {"session_id": f"s{n % 5}", "item_id": item, "timestamp": at, **more}
        for n, item in enumerate(items)
    ]
    answer = await client.post("/v1/events", json={"events": sent})
    assert answer.status_code == 200, answer.text
    await count(client)


async def store_light(client: httpx.AsyncClient, items: str) -> None:
    """As `store`, by requests that need no turn of heavy work."""
    for item in items:
        answer = await client.post("/v1/sessions/s/events", json={"item_id": item})
        assert answer.status_code == 200, answer.text
    await count(client)


async def flood(client: httpx.AsyncClient) -> None:
    """Takes all turns of heavy work, for longer than anybody waits."""
    heavy = runtime_of(client).admission.heavy
    caller = Caller("", wait_seconds=60, has_left=lambda: False)
    while not heavy.wait_seconds():
        await heavy.enter(caller, units=1_000_000)


async def count(client: httpx.AsyncClient) -> None:
    """Counts the new events now; the service does it every second."""
    popularity = runtime_of(client).popularity
    assert popularity is not None
    await popularity.counts.flush()


async def ask(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> str:
    return "".join(item["item_id"] for item in answer["items"])


async def test_the_items_with_the_most_events_of_the_window_come_first(opened: Open) -> None:
    """The last day has three events of c, two of a, one of e; b has five, two days ago."""
    async with opened() as client:
        await store(client, "cacace")
        await store(client, "bbbbb", hours_ago=36)
        answer = await ask(client, window="24h", k=3)
        week = await ask(client, window="7d", k=3)
    assert ids(answer) == "cae"
    assert [item["events"] for item in answer["items"]] == [3, 2, 1]
    scores = [item["score"] for item in answer["items"]]
    assert scores == pytest.approx([math.log(n + 1) for n in (3, 2, 1)])  # rounded by the hardware
    assert (answer["events"], answer["events_before"], answer["degraded"]) == (6, 5, False)
    assert ids(week) == "bca"


async def test_items_without_events_fill_the_list_by_their_popularity_in_training(
    opened: Open,
) -> None:
    async with opened() as client:
        await store(client, "aac")
        answer = await ask(client, window="1h", k=5)
    assert ids(answer) == "achgf"
    assert [item["events"] for item in answer["items"]] == [2, 1, 0, 0, 0]
    assert "shortage" not in answer


async def test_items_with_equally_many_events_are_in_the_order_of_training(opened: Open) -> None:
    async with opened() as client:
        await store(client, "abcg")
        assert ids(await ask(client, window="24h", k=4)) == "gcba"


async def test_items_trend_whose_share_of_the_events_grows(opened: Open) -> None:
    """40 events now, 20 in the window before, so those of now are halved; damped by ten.

    a: (20/2 + 10) / (5 + 10); b: (20/2 + 10) / (13 + 10); c: 10 / (2 + 10).
    """
    async with opened() as client:
        await store(client, 20 * "a" + 20 * "b")
        await store(client, 5 * "a" + 13 * "b" + 2 * "c", hours_ago=36)
        answer = await ask(client, window="24h", order="trending", k=8)
    assert ids(answer) == "ahgfedbc"
    scores = {item["item_id"]: item["score"] for item in answer["items"]}
    expected = {"a": 20 / 15, "b": 20 / 23, "c": 10 / 12} | dict.fromkeys("defgh", 1)
    assert scores == pytest.approx({name: math.log(each) for name, each in expected.items()})
    events = {item["item_id"]: (item["events"], item["events_before"]) for item in answer["items"]}
    expected_events = {"a": (20, 5), "b": (20, 13), "c": (0, 2)} | dict.fromkeys("defgh", (0, 0))
    assert events == expected_events


async def test_where_nothing_was_counted_before_the_most_popular_items_trend(opened: Open) -> None:
    async with opened() as client:
        await store(client, "caa")
        answer = await ask(client, window="24h", order="trending", k=3)
    assert ids(answer) == "ach"
    assert [item["score"] for item in answer["items"]] == [0, 0, 0]


async def test_an_event_that_is_sent_again_counts_once(opened: Open) -> None:
    async with opened() as client:
        for _ in range(3):
            path = "/v1/sessions/ann/events"
            await client.post(path, json={"item_id": "a", "event_id": "click-1"})
        await store(client, "aa", event_id="click-1")
        answer = await ask(client, window="1h", k=1)
    assert (answer["items"][0]["item_id"], answer["items"][0]["events"]) == ("a", 3)


async def test_events_without_consent_and_of_unknown_items_are_not_counted(opened: Open) -> None:
    async with opened() as client:
        await store(client, "aaa", consent=False)
        await store(client, "xyz")
        answer = await ask(client, window="1h", k=2)
    assert (ids(answer), answer["events"]) == ("hg", 0)


async def test_one_type_of_events_counts_if_asked_for_and_else_those_of_histories(
    opened: Open,
) -> None:
    async with opened(history_event_types="click, purchase") as client:
        await store(client, "aa")
        await store(client, "bbb", event_type="purchase")
        await store(client, "dddd", event_type="view")
        of_histories = await ask(client, window="1h", k=2)
        purchases = await ask(client, window="1h", k=1, event_type="purchase")
        views = await ask(client, window="1h", k=1, event_type="view")
    assert (ids(of_histories), of_histories["events"]) == ("ba", 5)
    assert (ids(purchases), purchases["events"]) == ("b", 3)
    assert (ids(views), views["events"]) == ("d", 4)


async def test_filters_exclusions_and_rules_hold_and_hidden_items_are_left_out(
    opened: Open,
) -> None:
    """Without a and e, which are vowels, c and the hidden d: b, then h, g, f by popularity."""
    async with opened() as client:
        await store(client, "aaaaaeeeeccddddb")
        await client.patch("/v1/items/d", json={"hidden": True})
        body = {"window": "24h", "deny": {"vowel": ["yes"]}, "exclude": ["c"]}
        filtered = await ask(client, k=5, **body)
        ruled = await ask(
            client,
            window="24h",
            k=4,
            max_per={"vowel": 2},
            boost={"items": {"b": 3}},
            pin=[{"item_id": "f", "position": 2}],
        )
    assert (ids(filtered), filtered["shortage"]) == ("bhgf", "no_more_items")
    assert ids(ruled) == "bfae"
    assert [item["events"] for item in ruled["items"]] == [1, 0, 5, 4]


async def test_an_added_item_is_popular_too(opened: Open) -> None:
    embedding = [1.0] + 7 * [0.0]
    async with opened() as client:
        new = {"item_id": "new", "title": "New", "embedding": embedding}
        assert (await client.post("/v1/items", json=new)).status_code == 200
        await client.post("/v1/sessions/ann/events", json={"item_id": "new"})
        await count(client)
        answer = await ask(client, window="1h", k=2)
    assert [item["item_id"] for item in answer["items"]] == ["new", "h"]


async def test_beside_a_flood_of_heavy_work_the_ranking_that_is_ready_or_that_of_before_answers(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a window that was never ranked needs a turn, which it does not get."""
    monkeypatch.setattr("service.admission.costs._COUNTED_ITEMS_PER_UNIT", 1)  # each is heavy work
    async with opened() as client:
        await store(client, "aab")
        day = await ask(client, window="24h", k=2)
        await flood(client)
        monkeypatch.setattr("service.popularity.reading._FRESH_SECONDS", 3_600.0)
        ready = await ask(client, window="24h", k=2)
        training = await ask(client, k=2)
        monkeypatch.setattr("service.popularity.reading._FRESH_SECONDS", 0.0)
        await store_light(client, "bbb")
        before = await ask(client, window="24h", k=2)
        refused = await client.get(f"{PATH}?window=1h")
    assert (ids(day), ids(training)) == ("ab", "hg")
    assert ready == day
    assert before == {**day, "degraded": True}
    assert refused.status_code == 503


async def test_costly_rules_of_popular_items_are_heavy_work(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter in a small catalog is not."""
    monkeypatch.setattr("service.admission.costs._SEARCHED_ITEMS_PER_UNIT", 8)
    await flood(client)
    assert ids(await ask(client, k=2, allow={"vowel": ["yes"]})) == "ea"
    refused = await client.post(PATH, json={"max_per": {"vowel": 1}})
    assert refused.status_code == 503


@pytest.mark.parametrize("opened", ["redis_server", "redis_cluster"], indirect=True)
async def test_all_workers_count_together(opened: Open) -> None:
    async with opened() as client, opened() as other:
        await store(client, "a")
        await store(other, "ab")
        answers = [await ask(each, window="1h", k=2) for each in (client, other)]
    assert answers[0] == answers[1]
    assert [item["events"] for item in answers[0]["items"]] == [2, 1]


@pytest.mark.parametrize("opened", ["redis_server"], indirect=True)
async def test_a_service_that_ends_counts_its_last_events(opened: Open) -> None:
    async with opened() as client:
        await client.post("/v1/sessions/ann/events", json={"item_id": "a"})
    async with opened() as client:
        assert (await ask(client, window="1h", k=1))["events"] == 1


@pytest.mark.parametrize("opened", ["mortal_redis"], indirect=True)
async def test_that_counting_works_again_is_known_without_an_event_or_a_request(
    opened: Open, mortal_redis: "RedisServer"
) -> None:
    async with opened() as client:
        await store(client, "a")
        popularity = runtime_of(client).popularity
        assert popularity is not None
        await client.post("/v1/sessions/ann/events", json={"item_id": "b"})
        mortal_redis.kill()
        await count(client)
        assert (await ask(client, window="1h"))["degraded"]
        assert "recommender_event_counts_failing 1.0" in (await client.get("/metrics")).text
        mortal_redis.start()
        await until(lambda: not popularity.is_failing)
        assert not (await ask(client, window="1h"))["degraded"]


async def test_without_a_window_the_interactions_in_training_decide(
    client: httpx.AsyncClient,
) -> None:
    """No event log is needed. The item h has seven interactions."""
    answer = (await client.get(f"{PATH}?k=2")).json()
    assert answer["items"][0] == {
        "item_id": "h",
        "title": "Jaws",
        "score": math.log(8),
        "events": None,
        "events_before": None,
    }
    assert (ids(answer), answer["since"], answer["events"]) == ("hg", None, None)
    assert ids(await ask(client, k=3, allow={"vowel": ["yes"]})) == "ea"


async def test_a_service_that_counts_nothing_says_so(
    client: httpx.AsyncClient, opened: Open
) -> None:
    for refused in (
        await client.get(f"{PATH}?window=24h"),
        await client.post(PATH, json={"window": "24h"}),
    ):
        assert refused.status_code == 404
        assert "EVENT_LOG is off" in refused.json()["detail"]
    async with opened(counted_items=0) as other:
        assert (await other.get(f"{PATH}?window=24h")).status_code == 404


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"window": "2h"}, "window", "'30d'"),
        ({"k": 0}, "k", "greater than or equal to 1"),
        ({"k": 101}, "k", "at most 100"),
        ({"order": "trending"}, "order", "needs a window: one of 1h, 6h"),
        ({"order": "best", "window": "1h"}, "order", "'popular' or 'trending'"),
        ({"event_type": "click"}, "event_type", "needs a window"),
        ({"event_type": "no such", "window": "1h"}, "event_type", "must be one of EVENT_TYPES"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(
    client: httpx.AsyncClient, query: dict[str, Any], field: str, message: str
) -> None:
    for answer in (
        await client.get(PATH, params=query),
        await client.post(PATH, json=query),
    ):
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["field"]) == (422, field)
        assert message in error["message"]
