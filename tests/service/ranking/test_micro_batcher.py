"""The bundle's ring a … h: after `c` comes `d`, after `h` comes `a`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.bundles.loading import load_recommender
from service.errors import InvalidRequestError
from service.ranking.micro_batcher import MAX_BATCH_SIZE, MicroBatcher
from service.ranking.recommender import Query, Recommendations, Recommender
from service.ranking.types import IndexQuery, Ranking
from tests.service.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def recommender(bundle_path: Path) -> Recommender:
    return load_recommender(bundle_path, max_k=100)


@pytest.fixture
def batches(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of histories in each inference of the student."""
    batches: list[int] = []
    rank, rank_many = recommender.student.rank, recommender.student.rank_many

    def counted(query: IndexQuery) -> Ranking:
        batches.append(1)
        return rank(query)

    def counted_all(queries: Sequence[IndexQuery]) -> list[Ranking]:
        batches.append(len(queries))
        return rank_many(queries)

    monkeypatch.setattr(recommender.student, "rank", counted)
    monkeypatch.setattr(recommender.student, "rank_many", counted_all)
    return batches


def ids(answer: Recommendations) -> str:
    return "".join(answer.item_ids)


async def test_a_single_request_is_ranked_by_itself(
    recommender: Recommender, batches: list[int]
) -> None:
    micro_batcher = MicroBatcher()
    answers = [ids(await micro_batcher.recommend(recommender, Query([each], 2))) for each in "ac"]
    assert (answers, batches) == (["bc", "de"], [1, 1])


async def test_requests_of_one_event_loop_turn_share_an_inference(
    recommender: Recommender, batches: list[int]
) -> None:
    micro_batcher = MicroBatcher()
    requests = [micro_batcher.recommend(recommender, Query([each], 2)) for each in "abc"]
    assert list(map(ids, await asyncio.gather(*requests))) == ["bc", "cd", "de"]
    assert batches == [3]


@pytest.mark.parametrize(("is_refusing", "shared"), [(False, [1, 1, 1, 1]), (True, [3, 1])])
async def test_while_requests_are_refused_those_of_three_turns_share_an_inference(
    recommender: Recommender, batches: list[int], is_refusing: bool, shared: list[int]
) -> None:
    micro_batcher = MicroBatcher(lambda: is_refusing)
    answers = []
    for each in "abcd":
        request = micro_batcher.recommend(recommender, Query([each], 2))
        answers.append(asyncio.create_task(request))
        await asyncio.sleep(0)
    assert list(map(ids, await asyncio.gather(*answers))) == ["bc", "cd", "de", "ef"]
    assert batches == shared


async def test_a_batch_has_a_maximum_size(recommender: Recommender, batches: list[int]) -> None:
    micro_batcher = MicroBatcher()
    requests = [
        micro_batcher.recommend(recommender, Query(["a"], 2)) for _ in range(MAX_BATCH_SIZE + 3)
    ]
    await asyncio.gather(*requests)
    assert batches == [MAX_BATCH_SIZE, 3]


async def test_the_answers_of_a_full_batch_are_ready_before_the_next_batch_is_ranked(
    recommender: Recommender, batches: list[int]
) -> None:
    micro_batcher = MicroBatcher()
    inferences_before: list[int] = []

    async def ask() -> None:
        await micro_batcher.recommend(recommender, Query(["a"], 2))
        inferences_before.append(len(batches))

    await asyncio.gather(*(ask() for _ in range(2 * MAX_BATCH_SIZE + 1)))
    assert inferences_before == [1] * MAX_BATCH_SIZE + [2] * MAX_BATCH_SIZE + [3]


async def test_a_request_that_comes_between_two_batches_is_ranked_with_the_second(
    recommender: Recommender, batches: list[int]
) -> None:
    micro_batcher = MicroBatcher()

    async def ask(times: int) -> None:
        for _ in range(times):
            await micro_batcher.recommend(recommender, Query(["a"], 2))

    await asyncio.gather(ask(2), *(ask(1) for _ in range(MAX_BATCH_SIZE)))
    assert batches == [MAX_BATCH_SIZE, 2]


async def test_each_bundle_answers_its_own_requests(
    recommender: Recommender, bundle_path: Path
) -> None:
    other, micro_batcher = load_recommender(bundle_path, max_k=100), MicroBatcher()
    requests = [micro_batcher.recommend(each, Query(["a"], 1)) for each in (recommender, other) * 2]
    assert list(map(ids, await asyncio.gather(*requests))) == ["b"] * 4


async def test_an_invalid_request_fails_and_the_others_of_its_batch_do_not(
    recommender: Recommender,
) -> None:
    micro_batcher = MicroBatcher()
    requests = [
        micro_batcher.recommend(recommender, Query(["a"], 1, allow={"colour": ["red"]})),
        micro_batcher.recommend(recommender, Query(["a"], 1)),
    ]
    refused, answer = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(refused, InvalidRequestError)
    assert isinstance(answer, Recommendations)
    assert ids(answer) == "b"


async def test_after_a_failed_batch_each_request_is_ranked_singly(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: object) -> list[Recommendations]:
        raise MemoryError

    monkeypatch.setattr(recommender, "recommend_many", breaks)
    micro_batcher = MicroBatcher()
    requests = [micro_batcher.recommend(recommender, Query([each], 1)) for each in "ab"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert list(map(ids, await asyncio.gather(*requests))) == ["b", "c"]
    assert "a batch of 2 requests failed" in caplog.text
    assert "MemoryError" in caplog.text


async def test_a_cancelled_request_does_not_shift_the_answers_of_the_others(
    recommender: Recommender,
) -> None:
    micro_batcher = MicroBatcher()
    requests = [
        asyncio.create_task(micro_batcher.recommend(recommender, Query([each], 1)))
        for each in "abc"
    ]
    await asyncio.sleep(0)
    requests[1].cancel()
    answers = await asyncio.gather(*requests, return_exceptions=True)
    assert [ids(each) for each in answers if isinstance(each, Recommendations)] == ["b", "d"]
