"""Batches of histories, and the order of their answers."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from distilled_recommender.recommend.answers import ANSWERS, Answering, QueryOptions
from export.contract.records import BundleError
from service.ranking.recommender import Query, Recommendations, Recommender

if TYPE_CHECKING:
    from collections.abc import Sequence

BUNDLE = Path(__file__).parents[3] / "assets/movielens/bundle"


@pytest.fixture(scope="module")
def answering() -> Answering:
    return Answering(BUNDLE, QueryOptions(3))


def of(histories: "Sequence[Sequence[str | None] | None]") -> pa.Table:
    return pa.table({"history": pa.array(histories, pa.list_(pa.string()))})


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> "list[list[Sequence[str]]]":
    """The histories that the service's ranking is asked with, batch by batch."""
    asked: list[list[Sequence[str]]] = []
    recommend_many = Recommender.recommend_many

    def seen(self: Recommender, queries: "Sequence[Query]") -> list[Recommendations]:
        asked.append([each.history for each in queries])
        return recommend_many(self, queries)

    monkeypatch.setattr(Recommender, "recommend_many", seen)
    return asked


def test_histories_with_as_many_known_items_share_a_batch(
    answering: Answering, batches: "list[list[Sequence[str]]]"
) -> None:
    answering(of([["260"], ["no such", "260", "1196"], ["no such", "260"], ["260", "1196"]] * 16))
    assert batches == [
        [["260"], ["no such", "260"]] * 16,
        [["no such", "260", "1196"], ["260", "1196"]] * 16,
    ]


def test_nulls_in_a_history_are_left_out(
    answering: Answering, batches: "list[list[Sequence[str]]]"
) -> None:
    answering(of([["260", None], None, [None]]))
    assert batches == [[[], [], ["260"]]]


def test_answers_are_in_the_order_of_the_histories(answering: Answering) -> None:
    histories = [["260", "1196"], [], ["1196"], ["no such", "260"]]
    together = answering(of(histories))
    alone = pa.concat_tables([answering(of([each])) for each in histories])
    assert together.column("item_ids").to_pylist() == alone.column("item_ids").to_pylist()
    assert together.column("source").to_pylist() == ["student", "popular", "student", "student"]


def test_no_histories_have_no_answers(answering: Answering) -> None:
    assert answering(of([])).schema.equals(ANSWERS)


def test_a_bundle_other_than_the_expected_one_is_refused() -> None:
    with pytest.raises(BundleError, match="is not the bundle '0123' that this run began with"):
        Answering(BUNDLE, QueryOptions(3), version="0123")
