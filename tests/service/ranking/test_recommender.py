"""The bundle's ring a … h: after `c` come d, e, f, g, h, a, b; h is the most popular item."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundles.loading import load_recommender
from service.errors import InvalidRequestError, StudentError
from service.ranking.filters import AttributeFilter
from service.ranking.recommender import Query, Recommendations, Recommender
from service.ranking.types import IndexQuery, Ranking

ITEM_IDS = st.sampled_from("abcdefghxyz")  # x, y, z are unknown


@pytest.fixture(scope="module")
def recommender(bundle_path: Path) -> Recommender:
    return load_recommender(bundle_path, max_k=100)


@pytest.fixture
def failing(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> Recommender:
    """A recommender whose student fails."""

    def fail(*_: object, **__: object) -> None:
        raise StudentError("no")

    monkeypatch.setattr(recommender.student, "rank", fail)
    return recommender


def ids(recommendations: Recommendations) -> str:
    return "".join(item.item_id for item, _ in recommendations.ranking)


def test_the_student_answers_a_known_history(recommender: Recommender) -> None:
    answer = recommender.recommend(Query(["c"], k=3))
    assert (ids(answer), answer.source, answer.degraded) == ("def", "student", False)
    assert [score for _, score in answer.ranking] == [8, 7, 6]


def test_seen_items_are_not_recommended(recommender: Recommender) -> None:
    assert ids(recommender.recommend(Query(["d", "f", "c"], k=3))) == "egh"


def test_items_seen_before_the_window_are_not_recommended(recommender: Recommender) -> None:
    """The student reads four items; the fifth last still counts as seen."""
    assert ids(recommender.recommend(Query(["h", "a", "b", "c", "d", "e"], k=8))) == "fg"


def test_excluded_items_are_replaced_by_the_next_ones(recommender: Recommender) -> None:
    assert ids(recommender.recommend(Query(["c"], k=3, exclude=["d", "f", "no such"]))) == "egh"


def test_unknown_items_are_skipped_and_counted(recommender: Recommender) -> None:
    answer = recommender.recommend(Query(["x", "c", "y"], k=1))
    assert (ids(answer), answer.unknown_items) == ("d", 2)


@pytest.mark.parametrize(("history", "unknown_items"), [([], 0), (["x"], 1)])
def test_without_a_known_item_popular_items_are_recommended(
    recommender: Recommender, history: list[str], unknown_items: int
) -> None:
    answer = recommender.recommend(Query(history, k=3, exclude=["g"]))
    assert (ids(answer), answer.source) == ("hfe", "popular")
    assert (answer.degraded, answer.unknown_items) == (False, unknown_items)


def test_a_k_beyond_the_catalog_recommends_all_unseen_items(recommender: Recommender) -> None:
    assert ids(recommender.recommend(Query(["h"], k=100))) == "abcdefg"
    assert ids(recommender.recommend(Query([], k=100))) == "hgfedcba"


def test_seen_items_come_back_when_no_other_item_is_left(recommender: Recommender) -> None:
    answer = recommender.recommend(Query(list("abcdefgh"), k=3, exclude=["b"]))
    assert (ids(answer), answer.source) == ("acd", "student")


@pytest.mark.parametrize("number", [1, 2])
def test_a_filter_that_leaves_only_seen_items_costs_one_run_of_the_student(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    runs = list[int]()
    rank, rank_many = recommender.student.rank, recommender.student.rank_many

    def counted(query: IndexQuery) -> Ranking:
        runs.append(1)
        return rank(query)

    def many_counted(queries: Sequence[IndexQuery]) -> Sequence[Ranking]:
        runs.append(len(queries))
        return rank_many(queries)

    monkeypatch.setattr(recommender.student, "rank", counted)
    monkeypatch.setattr(recommender.student, "rank_many", many_counted)
    query = Query(["d", "c"], k=3, allow={"letter": ["d", "c"]})
    plain = Query(["d", "c"], k=3, allow={"letter": ["d", "e"]})
    answers = recommender.recommend_many([query] * number)
    assert {ids(each) for each in answers} == {"dc"}
    assert runs == [number]
    assert ids(recommender.recommend(plain)) == "e"


@pytest.mark.parametrize(("history", "source"), [([], "catalog"), (["c"], "student")])
def test_excluding_the_whole_catalog_leaves_nothing(
    recommender: Recommender, history: list[str], source: str
) -> None:
    answer = recommender.recommend(Query(history, k=3, exclude="abcdefgh"))
    assert (ids(answer), answer.source, answer.degraded) == ("", source, False)


@pytest.mark.parametrize(
    ("allow", "deny", "answered"),
    [
        ({"letter": ["a", "g", "z"]}, {}, "ga"),
        ({"letter": ["a", "g"], "vowel": ["yes"]}, {}, "a"),
        ({"vowel": ["yes"]}, {"letter": ["a"]}, "e"),
        ({}, {"vowel": ["yes", "no"]}, ""),
        ({"letter": ["nothing has this"]}, {}, ""),
        ({"letter": []}, {}, ""),
    ],
)
def test_filters_hold_for_every_source(
    recommender: Recommender, allow: AttributeFilter, deny: AttributeFilter, answered: str
) -> None:
    for history in (["c"], []):
        answer = recommender.recommend(Query(history, k=8, allow=allow, deny=deny))
        assert sorted(ids(answer)) == sorted(answered)


def test_an_attribute_that_no_item_has_is_refused_by_name(recommender: Recommender) -> None:
    with pytest.raises(InvalidRequestError, match=r"deny\.colour: .* letter, vowel"):
        recommender.recommend(Query(["c"], k=3, deny={"colour": ["red"]}))


def test_seen_items_are_recommended_without_mask_seen(recommender: Recommender) -> None:
    assert ids(recommender.recommend(Query(["d", "c"], k=2, mask_seen=False))) == "de"
    assert ids(recommender.recommend(Query([], k=2, mask_seen=False))) == "hg"


def test_similar_items_are_recommended_when_the_student_fails(failing: Recommender) -> None:
    """All one-hot vectors are equally far, so the catalog's order decides."""
    answer = failing.recommend(Query(["h", "b"], k=3, exclude=["c"]))
    assert (ids(answer), answer.source, answer.degraded) == ("ade", "similar", True)


def test_similar_items_are_recommended_even_if_all_were_seen(failing: Recommender) -> None:
    assert ids(failing.recommend(Query(list("abcdefgh"), k=3))) == "abc"


def test_items_that_were_never_counted_come_in_catalog_order(recommender: Recommender) -> None:
    answer = recommender.recommend(Query([], k=3, allow={"letter": ["a"]}))
    assert (ids(answer), answer.source, answer.degraded) == ("a", "catalog", False)


def test_a_batch_is_answered_as_its_queries_singly(recommender: Recommender) -> None:
    batch = [
        Query(["c"], 3),
        Query(["x"], 3),
        Query(["c", "d"], 3, exclude=["e"]),
        Query(["c"], 2, deny={"vowel": ["yes"]}),
        Query(["c"], 2, mask_seen=False),
        Query(list("abcdefgh"), 2),
    ]
    assert recommender.recommend_many(batch) == list(map(recommender.recommend, batch))


@given(st.lists(ITEM_IDS), st.integers(1, 12), st.sets(ITEM_IDS))
def test_an_answer_is_full_and_holds_nothing_seen_or_excluded(
    recommender: Recommender, history: list[str], k: int, exclude: set[str]
) -> None:
    left = set("abcdefgh") - exclude
    unseen = left - set(history)
    if left:
        answer = recommender.recommend(Query(history, k, exclude))
        assert len(set(ids(answer))) == len(answer.ranking) == min(k, len(unseen or left))
        assert set(ids(answer)) <= (unseen or left)
        assert not answer.degraded
