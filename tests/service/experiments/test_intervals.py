"""Anytime-valid intervals: closed forms by hand, and their coverage by simulation."""

import math

import numpy as np
import pytest

from service.experiments.intervals import Interval, difference, mean, proportion, trials_to_show


def test_one_failure_of_one_trial_excludes_what_is_nearly_certain() -> None:
    # M(p) = B(1/2, 3/2) / (B(1/2, 1/2) (1 - p)) = 1 / (2 (1 - p)), which is 20 at p = 39/40.
    assert proportion(0, 1) == pytest.approx((0, 0, 39 / 40))
    assert proportion(1, 1) == pytest.approx((1, 1 / 40, 1))


def test_two_trials_with_one_success_exclude_both_ends() -> None:
    # B(3/2, 3/2) / B(1/2, 1/2) = 1/8, so that p (1 - p) > 0.05 / 8 inside.
    edge = (1 - math.sqrt(1 - 4 * 0.05 / 8)) / 2
    assert proportion(1, 2) == pytest.approx((0.5, edge, 1 - edge))


def test_the_largest_counts_have_an_interval() -> None:
    for successes in (0, 2**52, 2**53):
        found = proportion(successes, 2**53)
        assert 0 <= found.low <= found.estimate == successes / 2**53 <= found.high <= 1


def test_without_trials_nothing_is_known() -> None:
    assert proportion(0, 0)[1:] == (0, 1)
    assert mean(0, 0, 0)[1:] == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        proportion(3, 2)


def test_the_interval_of_a_mean_is_that_of_its_formula() -> None:
    # 500 times -1 and 500 times 1; the best rho^2 at 1,000 is (5.99146 + log 6.99146) / 1,000.
    rho_squared = (2 * math.log(20) + math.log(2 * math.log(20) + 1)) / 1_000
    scaled = 1_000 * rho_squared
    half = math.sqrt(2 * (scaled + 1) / (1e6 * rho_squared) * math.log(math.sqrt(scaled + 1) * 20))
    assert mean(0, 1_000, 1_000) == pytest.approx((0, -half, half))
    assert half == pytest.approx(0.0962, abs=5e-4)


def test_a_difference_has_the_outer_ends() -> None:
    found = difference(Interval(0.3, 0.2, 0.4), Interval(0.1, 0.05, 0.15))
    assert found == pytest.approx((0.2, 0.05, 0.35))
    assert found.excludes_zero
    assert not difference(Interval(0.3, 0.2, 0.4), Interval(0.3, 0.2, 0.4)).excludes_zero


def test_a_difference_is_shown_after_the_trials_that_were_told() -> None:
    needed = trials_to_show(0.10, 0.02)
    worse, better = round(0.10 * needed), round(0.12 * needed)
    assert 5_000 < needed < 30_000
    assert proportion(better, needed, 0.025).low > proportion(worse, needed, 0.025).high
    assert trials_to_show(0.10, 0.04) < needed / 3


def test_intervals_cover_the_truth_at_every_look_of_nearly_all_experiments() -> None:
    """400 experiments with 40 looks each: at most 5 % may ever miss, and 7 % are allowed here."""
    random, missed = np.random.default_rng(7), 0
    for _ in range(400):
        rate = random.uniform(0.01, 0.3)
        clicks = np.cumsum(random.binomial(100, rate, size=40))
        looks = [proportion(int(s), 100 * n) for n, s in enumerate(clicks, start=1)]
        missed += any(not each.low <= rate <= each.high for each in looks)
    assert missed <= 0.07 * 400


def test_the_difference_of_equal_variants_is_shown_in_nearly_no_experiment() -> None:
    random, shown = np.random.default_rng(8), 0
    for _ in range(200):
        clicks = np.cumsum(random.binomial(100, 0.1, size=(2, 30)), axis=1)
        shown += any(
            difference(
                proportion(int(a), 100 * n, 0.025), proportion(int(b), 100 * n, 0.025)
            ).excludes_zero
            for n, (a, b) in enumerate(clicks.T, start=1)
        )
    assert shown <= 0.07 * 200


def test_the_asymptotic_interval_of_values_covers_their_mean_at_every_look() -> None:
    random, missed = np.random.default_rng(9), 0
    for _ in range(400):
        values = random.exponential(2.0, size=4_000) * (random.random(4_000) < 0.3)
        totals, squares = np.cumsum(values), np.cumsum(values**2)
        looks = [
            mean(float(totals[n - 1]), float(squares[n - 1]), n) for n in range(300, 4_001, 100)
        ]
        missed += any(not each.low <= 0.6 <= each.high for each in looks)
    assert missed <= 0.07 * 400
