"""The teacher's routes: on the ring a … h the student goes forwards, the teacher backwards."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from fastapi import Response

from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.conftest import Connect
    from tests.service.teacher.conftest import RingTeacher

pytestmark = pytest.mark.anyio

PAUSE_SECONDS = 0.05


@pytest.fixture
async def client(
    bundle_path: Path, connect: "Connect", teacher_url: str, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        bundle_path=bundle_path,
        items_path=tmp_path / "items.jsonl",
        teacher_url=teacher_url,
        teacher_pause_seconds=PAUSE_SECONDS,
    )
    async with connect(settings) as client:
        yield client


@pytest.fixture
async def shadowed_client(
    bundle_path: Path, connect: "Connect", teacher_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """The service with shadow traffic, in which every answer is sampled."""
    settings = Settings(bundle_path=bundle_path, teacher_url=teacher_url, shadow_share=1)
    async with connect(settings) as client:
        yield client


async def ask(client: httpx.AsyncClient, history: str, **more: object) -> dict[str, Any]:
    return await post(client, "/v1/teacher/recommendations", history=list(history), **more)


async def compare(client: httpx.AsyncClient, history: str, **more: object) -> dict[str, Any]:
    return await post(client, "/v1/compare", history=list(history), **more)


async def post(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def ids(answer: dict[str, Any]) -> str:
    return "".join(item["item_id"] for item in answer["items"])


async def test_the_teacher_recommends(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "xc", k=2)
    assert len(answer.pop("recommendation_id")) == 48
    assert answer == {
        "model_version": "1",
        "variant": "default",
        "source": "teacher",
        "degraded": False,
        "unknown_items": 1,
        "items": [
            {"item_id": "b", "title": "Heat", "score": 0.0},
            {"item_id": "a", "title": "Toy Story", "score": -0.1},
        ],
        "cached": False,
        "generated_text": None,
    }


async def test_text_that_a_teacher_writes_is_passed_on_and_cached(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.writes = "The Heat (1995)"
    assert (await ask(client, "c"))["generated_text"] == "The Heat (1995)"
    ring_teacher.writes = None
    compared = (await compare(client, "c"))["teacher"]
    assert (compared["cached"], compared["generated_text"]) == (True, "The Heat (1995)")


async def test_the_teacher_reads_the_stored_history_of_a_session(client: httpx.AsyncClient) -> None:
    await client.post("/v1/sessions/s/events", json={"item_id": "c"})
    answer = await post(client, "/v1/teacher/recommendations", session_id="s", k=2)
    assert ids(answer) == "ba"


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"exclude": ["b", "x"]}, "ahg"),
        ({"allow": {"letter": ["a", "d", "g"]}}, "agd"),
        ({"deny": {"letter": ["b", "h"]}}, "agf"),
        ({"mask_seen": False, "allow": {"letter": ["c", "d"]}}, "dc"),
    ],
)
async def test_the_teacher_recommends_allowed_items_only(
    client: httpx.AsyncClient, wish: dict[str, Any], expected: str
) -> None:
    assert ids(await ask(client, "c", k=3, **wish)) == expected


async def test_items_that_the_catalog_lacks_make_the_teachers_answer_shorter_and_are_not_replaced(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.failure = Response(
        '{"teacher_version": "1", "item_ids": ["new", "h"], "distances": [0.1, 0.2]}'
    )
    answer = await ask(client, "c", k=2)
    assert (ids(answer), answer["source"], answer["degraded"]) == ("h", "teacher", False)


async def test_no_more_than_k_items_of_the_catalog_are_recommended(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.failure = Response(
        '{"teacher_version": "1", "item_ids": ["new", "h", "a", "b"], "distances": [1, 2, 3, 4]}'
    )
    assert ids(await ask(client, "c", k=2)) == "ha"


async def test_the_teacher_is_not_asked_about_an_unknown_history(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    answer = await ask(client, "xy", k=2)
    assert (ids(answer), answer["source"], answer["degraded"]) == ("hg", "popular", False)
    assert (await compare(client, "", k=2))["teacher"] is None
    assert not ring_teacher.asked


async def test_filters_that_allow_nothing_give_an_empty_answer_without_asking_the_teacher(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    answer = await ask(client, "c", allow={"letter": []})
    assert (ids(answer), answer["degraded"]) == ("", False)
    comparison = await compare(client, "c", allow={"letter": []})
    assert (ids(comparison["student"]), comparison["degraded"]) == ("", False)
    assert comparison["teacher"] is None
    assert not ring_teacher.asked


async def test_both_answers_are_compared(client: httpx.AsyncClient) -> None:
    answer = await compare(client, "c", k=4)
    student, teacher = answer["student"], answer["teacher"]
    assert (ids(student), student["source"]) == ("defg", "student")
    assert (ids(teacher), teacher["source"], teacher["model_version"]) == ("bahg", "teacher", "1")
    assert student["latency_ms"] > 0
    assert teacher["latency_ms"] > 0
    assert answer["overlap"] == 1 / 4
    # Of 21 pairs one list or the other ties those within d, e, f and within b, a, h: 3 each.
    # The student has the other 15 the other way round.
    assert answer["rank_correlation"] == pytest.approx(-15 / 21)


async def test_a_comparison_is_cached_the_second_time(client: httpx.AsyncClient) -> None:
    first, again = await compare(client, "c"), await compare(client, "c")
    assert (first["teacher"]["cached"], again["teacher"]["cached"]) == (False, True)
    assert (again["overlap"], again["degraded"]) == (first["overlap"], False)


@pytest.mark.parametrize(
    "failure",
    [
        Response(status_code=500),
        Response("{}"),
        Response('{"teacher_version": "1", "item_ids": ["b"], "distances": [NaN]}'),
        Response('{"teacher_version": "1", "item_ids": ["new"], "distances": [0]}'),
    ],
)
async def test_the_student_answers_instead_of_a_failing_teacher(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher", failure: Response
) -> None:
    ring_teacher.failure = failure
    answer = await ask(client, "c", k=2)
    assert (ids(answer), answer["source"], answer["degraded"]) == ("de", "student", True)
    comparison = await compare(client, "c", k=2)
    assert (ids(comparison["student"]), comparison["degraded"]) == ("de", True)
    for missing in ("teacher", "overlap", "rank_correlation"):
        assert comparison[missing] is None


async def test_the_student_answers_instead_of_a_late_teacher(
    bundle_path: Path, connect: "Connect", teacher_url: str, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.free = anyio.Event()
    settings = Settings(
        bundle_path=bundle_path, teacher_url=teacher_url, teacher_deadline_seconds=0.01
    )
    async with connect(settings) as client:
        answer = await ask(client, "c", k=2)
    assert (ids(answer), answer["source"], answer["degraded"]) == ("de", "student", True)


async def test_a_lost_teacher_is_not_asked_until_its_pause_is_over(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    assert (await client.get("/readyz")).json()["teacher"] == "configured"
    ring_teacher.failure = Response(status_code=500)
    for history in "abcde":
        assert (await ask(client, history))["degraded"]
    assert (await client.get("/readyz")).json()["teacher"] == "lost"
    ring_teacher.failure = None
    await anyio.sleep(PAUSE_SECONDS)
    assert (await ask(client, "c"))["source"] == "teacher"
    assert (await client.get("/readyz")).json()["teacher"] == "connected"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/teacher/recommendations", {"history": ["c"]}),
        ("/v1/compare", {"history": ["c"]}),
        ("/v1/items", {"item_id": "new", "title": "de"}),
    ],
)
async def test_without_a_teacher_the_answer_says_how_to_connect_one(
    bundle_path: Path, connect: "Connect", path: str, body: dict[str, Any]
) -> None:
    async with connect(Settings(bundle_path=bundle_path)) as client:
        response = await client.post(path, json=body)
        assert (await client.get("/readyz")).json()["teacher"] == "none"
    assert (response.status_code, response.headers["content-type"]) == (
        503,
        "application/problem+json",
    )
    detail = response.json()["detail"]
    assert "serve-teacher CONFIG`, where CONFIG is your experiment's file" in detail
    assert "TEACHER_URL=http" in detail


async def test_the_teacher_embeds_the_title_of_an_item_without_an_embedding(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/v1/items", json={"item_id": "new", "title": "de"})
    assert response.status_code == 200
    answer = await post(client, "/v1/recommendations", history=["c"], k=2)
    assert [item["item_id"] for item in answer["items"]] == ["new", "d"]


@pytest.mark.parametrize(
    "failure",
    [
        Response(status_code=500),
        Response(status_code=422),
        Response('{"teacher_version": "1", "embeddings": [[1, 2]]}'),
        Response('{"teacher_version": "1", "embeddings": [[NaN, 0, 0, 0, 0, 0, 0, 0]]}'),
        Response('{"teacher_version": "1", "embeddings": [[9, 0, 0, 0, 0, 0, 0, 0]]}'),
    ],
)
async def test_an_item_that_the_teacher_does_not_embed_is_not_added(
    client: httpx.AsyncClient, ring_teacher: "RingTeacher", failure: Response
) -> None:
    ring_teacher.failure = failure
    response = await client.post("/v1/items", json={"item_id": "new", "title": "de"})
    assert response.status_code == 503
    assert (await client.get("/v1/items/new")).status_code == 404


async def test_an_invalid_query_for_the_teacher_is_refused_and_the_field_named(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/v1/compare", json={"history": ["c"], "k": 101})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "k")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/recommendations", {"history": ["c"], "k": 2}),
        ("POST", "/v1/recommendations/batch", {"requests": [{"history": ["c"], "k": 2}]}),
        ("POST", "/v1/sessions/s/events?k=2", {"item_id": "c"}),
    ],
)
async def test_the_teacher_answers_in_the_background_too_in_shadow_mode(
    shadowed_client: httpx.AsyncClient,
    ring_teacher: "RingTeacher",
    method: str,
    path: str,
    body: dict[str, Any],
) -> None:
    ring_teacher.free = anyio.Event()
    response = await shadowed_client.request(method, path, json=body)
    assert response.status_code == 200  # the teacher has not answered yet
    ring_teacher.free.set()
    with anyio.fail_after(PATIENCE_SECONDS):
        while "recommender_shadow_overlap_count 1.0" not in await metrics(shadowed_client):
            await anyio.sleep(0.001)
    assert "recommender_shadow_overlap_sum 0.0" in await metrics(shadowed_client)


async def test_a_teacher_that_fails_in_shadow_mode_is_counted(
    shadowed_client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    assert "recommender_shadow_failures_total 0.0" in await metrics(shadowed_client)
    ring_teacher.failure = Response(status_code=500)
    await shadowed_client.post("/v1/recommendations", json={"history": ["c"], "k": 2})
    with anyio.fail_after(PATIENCE_SECONDS):
        while "recommender_shadow_failures_total 1.0" not in await metrics(shadowed_client):
            await anyio.sleep(0.001)


async def test_without_consent_the_teacher_is_not_asked(
    shadowed_client: httpx.AsyncClient, ring_teacher: "RingTeacher"
) -> None:
    event = {"item_id": "c", "consent": False}
    await shadowed_client.post("/v1/sessions/s/events?k=2", json=event)
    query = {"history": ["c"], "k": 2, "consent": False}
    await shadowed_client.post("/v1/recommendations", json=query)
    await shadowed_client.post("/v1/recommendations", json=query | {"explain": True})
    await shadowed_client.post("/v1/recommendations/batch", json={"requests": [query]})
    await shadowed_client.post("/v1/sessions/s/events?k=2", json={"item_id": "d"})
    with anyio.fail_after(PATIENCE_SECONDS):
        while not ring_teacher.asked:
            await anyio.sleep(0.001)
    assert ring_teacher.asked[0]["history"] == ["d"]


async def metrics(client: httpx.AsyncClient) -> str:
    return (await client.get("/metrics")).text
