"""Top lists agree by item, not by place."""

import pytest

from proofs.fixtures.agreement import Agreement, TopList, agree, largest_difference

TIE = 1e-5
MINE = TopList(["a", "b", "c"], [3.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("item_ids", "scores", "difference"),
    [
        (["a", "b", "c"], [3.0, 2.0, 1.0], 0.0),
        (["a", "b", "c"], [3.0, 2.0, 1.00001], 0.00001),
        (["a", "b", "d"], [3.0, 2.0, 1.00001], 0.00001),  # c and d are a tie at the cut
    ],
)
def test_lists_agree_if_each_item_has_its_score_and_ties_at_the_cut(
    item_ids: list[str], scores: list[float], difference: float
) -> None:
    other = TopList(item_ids, scores)
    assert agree(MINE, other, TIE * 1.001)
    assert agree(other, MINE, TIE * 1.001)
    assert largest_difference(MINE, other) == pytest.approx(difference)


@pytest.mark.parametrize(
    ("item_ids", "scores", "difference"),
    [
        (["b", "a", "c"], [3.0, 2.0, 1.0], 1.0),  # ids swapped under the right scores
        (["b", "a", "c"], [2.0, 3.0, 1.0], 0.0),  # each with its score, but the worse one first
        (["a", "b", "d"], [3.0, 2.0, 1.5], 0.5),  # d is no tie of the last item
        (["a", "d", "c"], [3.0, 2.0, 1.0], 1.0),  # a wrong item with the right score
        (["a", "b", "c"], [3.0, 2.1, 1.0], 0.1),  # the right items with another score
        (["a", "b", "b"], [3.0, 2.0, 2.0], 1.0),  # an item twice
        (["a", "b"], [3.0, 2.0], 1.0),
        ([], [], float("inf")),
    ],
)
def test_lists_do_not_agree_on_wrong_items_order_scores_or_length(
    item_ids: list[str], scores: list[float], difference: float
) -> None:
    other = TopList(item_ids, scores)
    assert not agree(MINE, other, TIE)
    assert not agree(other, MINE, TIE)
    assert largest_difference(MINE, other) == pytest.approx(difference)


def test_two_items_in_another_order_are_ties_only_if_their_scores_are() -> None:
    near = TopList(["a", "b"], [2.0, 1.999995])
    assert agree(near, TopList(["b", "a"], [1.999996, 1.999996]), TIE)
    assert not agree(near, TopList(["b", "a"], [2.0005, 1.999996]), TIE)
    assert agree(TopList([], []), TopList([], []), TIE)


def test_pairs_are_counted_once_as_equal_as_ties_or_as_others() -> None:
    agreement = Agreement()
    answer = TopList(["a", "b"], [2.0, 2.0], "student")
    agreement.add(answer, answer, TIE)
    agreement.add(answer, TopList(["b", "a"], [2.0, 2.0], "student"), TIE)
    agreement.add(answer, TopList(["b", "a"], [2.5, 2.0], "student"), TIE)
    agreement.add(answer, TopList(["a", "b"], [2.0, 2.0], "popular"), TIE)
    assert agreement == Agreement(asked=4, others=2, ties=1, difference=0.5)
