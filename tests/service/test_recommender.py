"""On the ring a … h: after `c` come d, e, f, g, h, a, b; popular are h, g, f … a."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.bundle import load_bundle
from service.errors import InvalidRequestError, StudentError
from service.recommender import Recommendations, Recommender

ITEM_IDS = st.sampled_from("abcdefghxyz")  # x, y, z are unknown


@pytest.fixture(scope="module")
def recommender(bundle_path: Path) -> Recommender:
    return Recommender(load_bundle(bundle_path))


@pytest.fixture
def failing(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> Recommender:
    """A recommender whose student has stopped working."""

    def fail(*_: object, **__: object) -> None:
        raise StudentError("no")

    monkeypatch.setattr(recommender._student, "rank", fail)
    return recommender


def ids(recommendations: Recommendations) -> str:
    return "".join(item.item_id for item, _ in recommendations.ranking)


def test_the_student_answers_a_known_history(recommender: Recommender) -> None:
    answer = recommender.recommend(["c"], k=3)
    assert (ids(answer), answer.source, answer.degraded) == ("def", "student", False)
    assert [score for _, score in answer.ranking] == [8, 7, 6]


def test_what_was_seen_is_not_recommended(recommender: Recommender) -> None:
    assert ids(recommender.recommend(["d", "f", "c"], k=3)) == "egh"


def test_what_was_seen_long_ago_is_not_recommended(recommender: Recommender) -> None:
    """The student reads four items; the fifth last still counts as seen."""
    assert ids(recommender.recommend(["h", "a", "b", "c", "d", "e"], k=8)) == "fg"


def test_excluded_items_are_replaced_by_the_next_ones(recommender: Recommender) -> None:
    assert ids(recommender.recommend(["c"], k=3, exclude=["d", "f", "no such"])) == "egh"


def test_unknown_items_are_skipped_and_counted(recommender: Recommender) -> None:
    answer = recommender.recommend(["x", "c", "y"], k=1)
    assert (ids(answer), answer.unknown_items) == ("d", 2)


@pytest.mark.parametrize(("history", "unknown_items"), [([], 0), (["x"], 1)])
def test_without_a_known_item_popular_ones_answer(
    recommender: Recommender, history: list[str], unknown_items: int
) -> None:
    answer = recommender.recommend(history, k=3, exclude=["g"])
    assert (ids(answer), answer.source) == ("hfe", "popular")
    assert (answer.degraded, answer.unknown_items) == (False, unknown_items)


def test_a_k_beyond_the_catalog_answers_all_that_is_left(recommender: Recommender) -> None:
    assert ids(recommender.recommend(["h"], k=100)) == "abcdefg"
    assert ids(recommender.recommend([], k=100)) == "hgfedcba"


def test_who_has_seen_everything_sees_it_again(recommender: Recommender) -> None:
    answer = recommender.recommend(list("abcdefgh"), k=3, exclude=["b"])
    assert (ids(answer), answer.source) == ("acd", "student")


@pytest.mark.parametrize("history", [[], ["c"]])
def test_excluding_the_whole_catalog_is_refused(
    recommender: Recommender, history: list[str]
) -> None:
    with pytest.raises(InvalidRequestError, match="exclude"):
        recommender.recommend(history, k=3, exclude="abcdefgh")


def test_popular_items_stand_in_for_a_failing_student(failing: Recommender) -> None:
    answer = failing.recommend(["h"], k=3, exclude=["f"])
    assert (ids(answer), answer.source, answer.degraded) == ("ged", "popular", True)


def test_popular_items_stand_in_even_if_all_were_seen(failing: Recommender) -> None:
    assert ids(failing.recommend(list("abcdefgh"), k=3)) == "hgf"


@given(st.lists(ITEM_IDS), st.integers(1, 12), st.sets(ITEM_IDS))
def test_an_answer_is_full_and_holds_nothing_seen_or_excluded(
    recommender: Recommender, history: list[str], k: int, exclude: set[str]
) -> None:
    left = set("abcdefgh") - exclude
    unseen = left - set(history)
    if left:
        answer = recommender.recommend(history, k, exclude)
        assert len(set(ids(answer))) == len(answer.ranking) == min(k, len(unseen or left))
        assert set(ids(answer)) <= (unseen or left)
        assert not answer.degraded
