"""On the ring a … h, d comes after c and a after h."""

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
def runs(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many histories each run of the student ranked."""
    runs: list[int] = []
    rank, rank_many = recommender.student.rank, recommender.student.rank_many

    def counted(question: IndexQuery) -> Ranking:
        runs.append(1)
        return rank(question)

    def counted_all(questions: Sequence[IndexQuery]) -> list[Ranking]:
        runs.append(len(questions))
        return rank_many(questions)

    monkeypatch.setattr(recommender.student, "rank", counted)
    monkeypatch.setattr(recommender.student, "rank_many", counted_all)
    return runs


def ids(answer: Recommendations) -> str:
    return "".join(answer.item_ids)


async def test_a_request_that_comes_alone_is_ranked_alone(
    recommender: Recommender, runs: list[int]
) -> None:
    together = MicroBatcher()
    answers = [ids(await together.recommend(recommender, Query([each], 2))) for each in "ac"]
    assert (answers, runs) == (["bc", "de"], [1, 1])


async def test_requests_of_one_moment_share_a_run(
    recommender: Recommender, runs: list[int]
) -> None:
    together = MicroBatcher()
    asked = [together.recommend(recommender, Query([each], 2)) for each in "abc"]
    assert list(map(ids, await asyncio.gather(*asked))) == ["bc", "cd", "de"]
    assert runs == [3]


async def test_a_run_has_a_limit(recommender: Recommender, runs: list[int]) -> None:
    together = MicroBatcher()
    asked = [together.recommend(recommender, Query(["a"], 2)) for _ in range(MAX_BATCH_SIZE + 3)]
    await asyncio.gather(*asked)
    assert runs == [MAX_BATCH_SIZE, 3]


async def test_each_bundle_answers_its_own_requests(
    recommender: Recommender, bundle_path: Path
) -> None:
    other, together = load_recommender(bundle_path, max_k=100), MicroBatcher()
    asked = [together.recommend(each, Query(["a"], 1)) for each in (recommender, other) * 2]
    assert list(map(ids, await asyncio.gather(*asked))) == ["b"] * 4


async def test_a_request_that_cannot_be_used_fails_alone(recommender: Recommender) -> None:
    together = MicroBatcher()
    asked = [
        together.recommend(recommender, Query(["a"], 1, allow={"colour": ["red"]})),
        together.recommend(recommender, Query(["a"], 1)),
    ]
    refused, answer = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(refused, InvalidRequestError)
    assert isinstance(answer, Recommendations)
    assert ids(answer) == "b"


async def test_a_run_that_breaks_leaves_nobody_without_an_answer(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: object) -> list[Recommendations]:
        raise MemoryError

    monkeypatch.setattr(recommender, "recommend_many", breaks)
    together = MicroBatcher()
    asked = [together.recommend(recommender, Query([each], 1)) for each in "ab"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert list(map(ids, await asyncio.gather(*asked))) == ["b", "c"]


async def test_who_has_gone_takes_nobodys_answer(recommender: Recommender) -> None:
    together = MicroBatcher()
    asked = [
        asyncio.create_task(together.recommend(recommender, Query([each], 1))) for each in "abc"
    ]
    await asyncio.sleep(0)
    asked[1].cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [ids(each) for each in answers if isinstance(each, Recommendations)] == ["b", "d"]
