import pytest

from benchmarks.measures.graph import are_same

RANKING = [(7, 2.0), (3, 1.0), (5, 0.5)]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([(7, 2.0), (3, 1.0), (5, 0.5)], True),
        ([(7, 2.0), (3, 1.0), (9, 0.5 + 5e-7)], True),  # the last place was a tie
        ([(7, 2.0), (5, 1.1), (3, 1.0)], False),
        ([(7, 2.0), (3, 1.0), (9, 0.6)], False),
    ],
)
def test_rankings_are_the_same_but_for_items_of_equal_scores(
    other: list[tuple[int, float]], *, same: bool
) -> None:
    assert are_same(RANKING, other) is same
