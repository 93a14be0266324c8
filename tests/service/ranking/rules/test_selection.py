"""Rules on the ring: after `c` come d, e, f, g, h, a, b with scores 8 to 2; a and e are vowels."""

from pathlib import Path

import pytest

from service.bundles.loading import load_recommender
from service.errors import StudentError
from service.ranking.recommender import Query, Recommendations, Recommender
from service.ranking.rules.types import Rules


@pytest.fixture(scope="module")
def recommender(bundle_path: Path) -> Recommender:
    return load_recommender(bundle_path, max_k=100)


def ids(recommendations: Recommendations) -> str:
    return "".join(recommendations.item_ids)


def after_c(recommender: Recommender, rules: Rules, k: int = 3, **query: object) -> Recommendations:
    return recommender.recommend(Query(["c"], k, rules=rules, **query))  # type: ignore[arg-type]


def test_only_candidates_are_ranked_and_unknown_ones_are_skipped(recommender: Recommender) -> None:
    answer = after_c(recommender, Rules(candidates=["b", "g", "no such", "e"]))
    assert [(item.item_id, score) for item, score in answer.ranking] == [
        ("e", 7),
        ("g", 5),
        ("b", 2),
    ]
    assert (answer.source, answer.shortage) == ("student", None)


def test_too_few_candidates_are_told(recommender: Recommender) -> None:
    answer = after_c(recommender, Rules(candidates=["b", "g"]))
    assert (ids(answer), answer.shortage) == ("gb", "no_more_items")


def test_seen_candidates_are_ranked_only_if_no_other_is_left(recommender: Recommender) -> None:
    assert ids(after_c(recommender, Rules(candidates=["b", "c"]))) == "b"
    assert ids(after_c(recommender, Rules(candidates=["c"]))) == "c"


def test_boosts_of_an_item_and_of_its_values_are_added(recommender: Recommender) -> None:
    """a: 3 + 2 + 3.5 = 8.5; e: 7 + 2 = 9; d: 8."""
    rules = Rules(item_boosts={"a": 3.5, "no such": 9}, attribute_boosts={"vowel": {"yes": 2}})
    answer = after_c(recommender, rules)
    assert [(item.item_id, score) for item, score in answer.ranking] == [
        ("e", 9),
        ("a", 8.5),
        ("d", 8),
    ]


def test_a_negative_boost_moves_an_item_down(recommender: Recommender) -> None:
    assert ids(after_c(recommender, Rules(item_boosts={"d": -2.5}))) == "efd"


def test_pinned_items_have_their_places_and_scores(recommender: Recommender) -> None:
    answer = after_c(recommender, Rules(pins={3: "b", 1: "h"}), k=4)
    assert [(item.item_id, score) for item, score in answer.ranking] == [
        ("h", 4),
        ("d", 8),
        ("b", 2),
        ("e", 7),
    ]


def test_a_seen_item_can_be_pinned(recommender: Recommender) -> None:
    assert ids(after_c(recommender, Rules(pins={1: "c"}))) == "cde"


def test_pins_that_may_not_be_recommended_are_left_out_and_named(recommender: Recommender) -> None:
    answer = after_c(
        recommender,
        Rules(pins={1: "no such", 2: "a", 3: "g"}, candidates=["a", "e", "f"]),
        exclude=["a"],
    )
    assert (ids(answer), list(answer.left_out_pins)) == ("ef", ["no such", "a", "g"])


def test_a_pin_moves_up_if_items_run_out_before_its_place(recommender: Recommender) -> None:
    answer = after_c(recommender, Rules(pins={8: "h"}, candidates=["d", "h"]), k=8)
    assert (ids(answer), answer.shortage) == ("dh", "no_more_items")


def test_no_value_occurs_more_often_than_its_limit(recommender: Recommender) -> None:
    """Of d, e, f, g, h, a, b only e and a are vowels."""
    answer = after_c(recommender, Rules(max_per={"vowel": 2}), k=4)
    assert (ids(answer), answer.shortage) == ("defa", None)


def test_a_limit_that_no_other_item_keeps_to_is_told(recommender: Recommender) -> None:
    answer = after_c(recommender, Rules(max_per={"vowel": 1}), k=4)
    assert (ids(answer), answer.shortage) == ("de", "max_per")


def test_pinned_items_count_for_the_limit_and_are_not_bound_by_it(recommender: Recommender) -> None:
    answer = after_c(recommender, Rules(max_per={"vowel": 1}, pins={2: "g", 4: "h"}), k=4)
    assert (ids(answer), answer.shortage) == ("egh", "max_per")


def test_items_below_the_lowest_score_are_left_out(recommender: Recommender) -> None:
    """With its boost, a has 3 + 4 = 7."""
    answer = after_c(recommender, Rules(min_score=6.5, item_boosts={"a": 4}), k=5)
    assert (ids(answer), answer.shortage) == ("dea", "min_score")


def test_the_lowest_score_does_not_hold_for_pins(recommender: Recommender) -> None:
    assert ids(after_c(recommender, Rules(min_score=8, pins={2: "b"}))) == "db"


def test_rules_hold_for_popular_items_whose_scores_are_logarithms(recommender: Recommender) -> None:
    """h, g … a have 7, 6 … 0 interactions; ln 4 + ln 3 = ln 12 is more than ln 8."""
    rules = Rules(item_boosts={"d": 1.0986122886681098}, candidates=["a", "d", "h"])
    answer = recommender.recommend(Query([], 3, rules=rules))
    assert (ids(answer), answer.source) == ("dha", "popular")
    assert [score for _, score in answer.ranking] == pytest.approx([2.484907, 2.079442, 0])


def test_rules_hold_for_similar_items_when_the_student_fails(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StudentError("no")

    monkeypatch.setattr(recommender.student, "rank_arrays", fail)
    answer = after_c(recommender, Rules(item_boosts={"g": 1}))
    assert (ids(answer), answer.source, answer.degraded) == ("gab", "similar", True)


def test_similar_items_keep_to_filters_and_rules(recommender: Recommender) -> None:
    """All cosines are 0, so the catalog's order decides; the item itself cannot be pinned."""
    query = Query(
        ["c"],
        3,
        exclude=["b"],
        deny={"vowel": ["yes"]},
        rules=Rules(item_boosts={"g": 1}, pins={2: "h", 3: "c"}),
    )
    selection = recommender.similar_by_rules(query)
    listed = [item.item_id for item, _ in recommender.with_items(selection.ranking)]
    assert ("".join(listed), list(selection.left_out_pins)) == ("ghd", ["c"])


def test_a_batch_answers_queries_with_rules_as_one_by_one(recommender: Recommender) -> None:
    batch = [
        Query(["c"], 3, rules=Rules(pins={1: "h"})),
        Query(["c"], 3),
        Query(["d"], 3, rules=Rules(max_per={"vowel": 1})),
    ]
    assert list(map(ids, recommender.recommend_many(batch))) == ["hde", "def", "ef"]
