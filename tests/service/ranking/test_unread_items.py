"""The ring a … h, whose student reads neither `b` nor `f`: both have no training interaction."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from service.bundles.loading import load_recommender
from service.errors import StudentError
from service.ranking.explanations import Reasons, explain_in_slices
from service.ranking.recommender import Query, Recommendations, Recommender


@pytest.fixture
def recommender(save_bundle_with: Callable[..., Path]) -> Recommender:
    return load_recommender(save_bundle_with(unread="bf"), max_k=100)


def result_of(slices: Generator[None, None, list[Reasons]]) -> list[Reasons]:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            result: list[Reasons] = end.value
            return result


def ids(recommendations: Recommendations) -> str:
    return "".join(item.item_id for item, _ in recommendations.ranking)


@pytest.mark.parametrize("history", ["cf", "cfb", "fc"])
def test_the_newest_item_that_is_read_takes_the_newest_position(
    recommender: Recommender, history: str
) -> None:
    """After `c` come d, e, f, g; only the last item counts, and `f` and `b` are seen."""
    answer = recommender.recommend(Query(list(history), k=3))
    assert (ids(answer), answer.source, answer.unknown_items) == ("deg", "student", 0)


def test_unread_items_take_no_place_in_the_window(recommender: Recommender) -> None:
    """The window has four places: without `b` and `f`, the student still reads `c` in it."""
    query = Query(list("chbfbfbf"), k=2, mask_seen=False)
    assert ids(recommender.recommend(query)) == "ab"  # after h, with c read before it


def test_several_histories_are_ranked_as_each_by_itself(recommender: Recommender) -> None:
    queries = [Query(list(history), k=4) for history in ("cf", "c", "f", "bb", "cb")]
    together = recommender.recommend_many(queries)
    assert together == [recommender.recommend(query) for query in queries]


@pytest.mark.parametrize("history", ["f", "bf", "fbx"])
def test_where_nothing_of_a_history_is_read_popular_items_answer_and_seen_ones_do_not(
    recommender: Recommender, history: str
) -> None:
    answer = recommender.recommend(Query(list(history), k=8))
    popular = "".join(each for each in "hgfedcba" if each not in history)
    assert (ids(answer), answer.source, answer.degraded) == (popular, "popular", False)
    assert answer.unknown_items == history.count("x")


def test_unread_items_may_be_recommended_where_seen_ones_may(recommender: Recommender) -> None:
    query = Query(["e", "f", "e"], k=2, mask_seen=False)
    assert ids(recommender.recommend(query)) == "fg"


def test_seen_unread_items_come_back_when_no_other_item_is_left(recommender: Recommender) -> None:
    answer = recommender.recommend(Query(list("abcdefgh"), k=3, exclude=["d"]))
    assert (ids(answer), answer.source) == ("abc", "student")


def test_an_excluded_item_stays_excluded_beside_unread_ones(recommender: Recommender) -> None:
    assert ids(recommender.recommend(Query(["c", "f"], k=2, exclude=["d"]))) == "eg"


def test_similar_items_answer_for_what_is_read_if_the_student_fails(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StudentError("no")

    monkeypatch.setattr(recommender.student, "rank", fail)
    answer = recommender.recommend(Query(["c", "f"], k=8))
    assert (answer.source, answer.degraded) == ("similar", True)
    assert sorted(ids(answer)) == list("abdegh")


def test_unread_items_are_similar_to_none(recommender: Recommender) -> None:
    assert recommender.similar_by_rules(Query(["f"], k=3)).ranking == []
    similar = recommender.with_items(recommender.similar_by_rules(Query(["c"], k=8)).ranking)
    assert {item.item_id for item, _ in similar} == set("adegh")


def test_an_unread_item_is_no_reason(recommender: Recommender) -> None:
    query = Query(["a", "c", "f"], k=1)
    (reasons,) = result_of(explain_in_slices(recommender, query, recommender.recommend(query)))
    assert [(item.item_id, drop) for item, drop in reasons] == [("c", 2.0)]


def test_a_bundle_whose_items_are_all_read_says_nothing_about_it(bundle_path: Path) -> None:
    assert b"is_read" not in (bundle_path / "items.jsonl").read_bytes()
