import pytest

from benchmarks.measures.graph import is_same_ranking

RANKING = [(7, 2.0), (3, 1.0), (5, 0.5)]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([(7, 2.0), (3, 1.0), (5, 0.5)], True),
        ([(7, 2.0), (3, 1.0), (9, 0.5 + 5e-7)], True),  # a tie at the last place
        ([(7, 2.0), (5, 1.1), (3, 1.0)], False),
        ([(7, 2.0), (3, 1.0), (9, 0.6)], False),
    ],
)
def test_rankings_are_the_same_but_for_items_of_equal_scores(
    other: list[tuple[int, float]], *, same: bool
) -> None:
    assert is_same_ranking(RANKING, other) is same
