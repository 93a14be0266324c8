"""Two checkouts are compared in pairs, by the median of their ratios."""

import pytest

from benchmarks.subjects.cost_pairs import CostPairs, median_interval


def test_each_ratio_is_that_of_one_pair() -> None:
    assert CostPairs([1.0, 6.0], [2.0, 3.0]).ratios == (0.5, 2.0)


def test_the_interval_of_equal_ratios_is_a_point() -> None:
    assert median_interval([1.25] * 15) == (1.25, 1.25)


def test_the_interval_encloses_the_median_and_leaves_out_the_outliers() -> None:
    low, high = median_interval([0.1, *[1.0 + step / 100 for step in range(13)], 9.0])
    assert 1.0 <= low < 1.06 < high <= 1.12


def test_an_interval_is_the_same_in_every_run() -> None:
    values = [0.9, 1.0, 1.3, 1.1, 0.95]
    assert median_interval(values) == pytest.approx(median_interval(values))
