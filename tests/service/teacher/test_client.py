import asyncio
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from fastapi import Response

from service.errors import TeacherLostError, TeacherUnavailableError
from service.teacher.client import TeacherClient, TeacherQuery
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.teacher.conftest import RingTeacher

pytestmark = pytest.mark.anyio

QUESTION = TeacherQuery(("c",), 2)


async def test_an_answer_is_items_and_distances(teacher_client: TeacherClient) -> None:
    answer = await teacher_client.recommend(TeacherQuery(("c",), 2, frozenset("a")))
    assert answer.model_dump() == {
        "teacher_version": "1",
        "item_ids": ["b", "h"],
        "distances": [0.0, 0.1],
        "generated_text": None,
    }


async def test_titles_are_embedded_in_their_order(teacher_client: TeacherClient) -> None:
    answer = await teacher_client.embed(["d", "ah"])
    assert answer.embeddings == [[0, 0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 1]]


async def test_a_late_teacher_is_lost_at_the_deadline(ring_teacher: "RingTeacher") -> None:
    ring_teacher.free = anyio.Event()
    client = TeacherClient(
        "http://teacher",
        deadline_seconds=0.01,
        concurrency=1,
        transport=httpx.ASGITransport(ring_teacher.app),
    )
    with pytest.raises(TeacherLostError, match=r"no answer within 0\.01 s"):
        await client.recommend(QUESTION)
    await client.close()


async def test_no_more_requests_run_at_once_than_the_settings_allow(
    teacher_client: TeacherClient, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.free = anyio.Event()
    requests = {asyncio.create_task(teacher_client.recommend(QUESTION)) for _ in range(3)}
    first, others = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    ring_teacher.free.set()
    (turned_away,) = first
    assert str(turned_away.exception()) == "the teacher is busy"
    assert [answer.item_ids for answer in await asyncio.gather(*others)] == [["b", "a"]] * 2
    assert len(ring_teacher.asked) == 2


async def test_a_refusal_does_not_mean_that_the_teacher_is_lost(
    teacher_client: TeacherClient, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.failure = Response("history: none", 422)
    with pytest.raises(TeacherUnavailableError, match="refuses: history: none") as raised:
        await teacher_client.recommend(QUESTION)
    assert not isinstance(raised.value, TeacherLostError)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_teacher_is_not_lost(
    teacher_client: TeacherClient, ring_teacher: "RingTeacher", status: int
) -> None:
    ring_teacher.failure = Response(status_code=status, headers={"Retry-After": "1"})
    with pytest.raises(TeacherUnavailableError, match="the teacher is busy") as raised:
        await teacher_client.recommend(QUESTION)
    assert not isinstance(raised.value, TeacherLostError)


async def test_an_error_does_not_show_the_address_of_the_teacher(
    ring_teacher: "RingTeacher",
) -> None:
    ring_teacher.failure = Response(status_code=500)
    client = TeacherClient(
        "http://me:password@teacher",
        deadline_seconds=PATIENCE_SECONDS,
        concurrency=1,
        transport=httpx.ASGITransport(ring_teacher.app),
    )
    with pytest.raises(TeacherLostError) as raised:
        await client.recommend(QUESTION)
    assert str(raised.value) == "/recommendations: status 500"
    await client.close()


def test_the_cache_keeps_32_bytes_of_a_query_however_long_its_history_is() -> None:
    assert len(TeacherQuery(("x" * 256,) * 1_000, 2).key) == 32


def test_histories_whose_ids_differ_only_in_where_they_end_have_keys_of_their_own() -> None:
    histories = [("a", "b"), ("ab",), ("a,b",), ('a","b',), ()]
    assert len({TeacherQuery(each, 2).key for each in histories}) == len(histories)


def test_the_cache_key_depends_on_the_excluded_items_and_not_on_their_order() -> None:
    keys = [TeacherQuery(("c",), 2, frozenset(each)).key for each in ("ab", "ba", "ac", "")]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    "failure",
    [
        Response(status_code=500),
        Response(status_code=503),
        Response("not JSON"),
        Response("{}"),
        Response('{"teacher_version": "1", "item_ids": ["a"], "distances": []}'),
    ],
    ids=["broken", "overloaded", "no JSON", "lacking", "one distance short"],
)
async def test_a_failing_teacher_is_lost(
    teacher_client: TeacherClient, ring_teacher: "RingTeacher", failure: Response
) -> None:
    ring_teacher.failure = failure
    with pytest.raises(TeacherLostError, match="/recommendations"):
        await teacher_client.recommend(QUESTION)


ANYTHING = """{"teacher_version": "1", "item_ids": ["a", "c", "b", "h", "b", "x", "g", "f"],
    "distances": [0.1, 0.2, 0.3, NaN, 0.4, 0.5, Infinity, 0.6]}"""


@pytest.mark.parametrize(
    ("mask_seen", "expected"),
    [(True, {"b": 0.3, "x": 0.5, "f": 0.6}), (False, {"c": 0.2, "b": 0.3, "x": 0.5, "f": 0.6})],
)
async def test_items_that_the_query_does_not_allow_are_dropped_from_an_answer(
    teacher_client: TeacherClient,
    ring_teacher: "RingTeacher",
    mask_seen: bool,
    expected: dict[str, float],
) -> None:
    ring_teacher.failure = Response(ANYTHING)
    question = TeacherQuery(("c",), 2, frozenset("a"), mask_seen=mask_seen)
    answer = await teacher_client.recommend(question)
    assert dict(zip(answer.item_ids, answer.distances, strict=True)) == expected


async def test_an_answer_without_a_usable_item_is_a_failure(
    teacher_client: TeacherClient, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.failure = Response(
        '{"teacher_version": "1", "item_ids": ["a", "c"], "distances": [NaN, 0.1]}'
    )
    with pytest.raises(TeacherLostError, match="none of 2 items can be used"):
        await teacher_client.recommend(QUESTION)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e300"])
async def test_an_embedding_of_something_else_than_numbers_is_a_failure(
    teacher_client: TeacherClient, ring_teacher: "RingTeacher", number: str
) -> None:
    ring_teacher.failure = Response(f'{{"teacher_version": "1", "embeddings": [[{number}]]}}')
    with pytest.raises(TeacherLostError, match="/embeddings"):
        await teacher_client.embed(["Up"])


async def test_a_title_without_an_embedding_is_a_failure(
    teacher_client: TeacherClient, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.failure = Response('{"teacher_version": "1", "embeddings": [[1.0]]}')
    with pytest.raises(TeacherLostError, match="1 embeddings for 2 titles"):
        await teacher_client.embed(["Up", "Heat"])


async def test_a_teacher_that_cannot_be_reached_is_lost() -> None:
    client = TeacherClient("http://127.0.0.1:1", deadline_seconds=PATIENCE_SECONDS, concurrency=1)
    with pytest.raises(TeacherLostError, match="ConnectError"):
        await client.recommend(QUESTION)
    await client.close()
