import pytest

from service.teacher.agreement import agreement, overlap, rank_correlation


def test_equal_rankings_agree_fully() -> None:
    agreed = agreement("abc", "abc")
    assert (agreed.overlap, agreed.rank_correlation) == (1, 1)


def test_overlap_is_a_share_of_the_longer_ranking() -> None:
    assert overlap("abcd", "dbxy") == 2 / 4
    assert overlap("abcd", "b") == 1 / 4


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("abc", "cba", -1),  # three pairs, all turned round
        ("abc", "acb", 1 / 3),  # ab and ac agree, bc does not
        ("ab", "xy", -2 / 3),  # of six pairs four are turned round, ab and xy each tied once
        ("abc", "abx", 4 / 6),  # of six pairs five agree, cx is turned round
        ("a", "a", 1),
        ("a", "b", -1),
    ],
)
def test_rank_correlation_counts_pairs_of_the_union(one: str, other: str, expected: float) -> None:
    assert rank_correlation(one, other) == pytest.approx(expected)
