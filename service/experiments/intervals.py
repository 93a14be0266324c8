"""Anytime-valid intervals: one may look at an experiment at any time, and as often as one likes.

An ordinary 95 % interval misses the truth in 5 % of the experiments at one look that was fixed in
advance. Somebody who looks every day and stops at a nice result sees far more errors. A *confidence
sequence* covers the truth at all looks together with probability 1 - alpha.

Proportions, such as click-through, have an exact one. Of a proportion p, the beta-binomial mixture

    M(p) = B(a + s, a + n - s) / (B(a, a) p^s (1 - p)^(n - s)),   a = 1/2,

after s successes in n trials is a martingale with mean 1, so that it reaches 1 / alpha with
probability alpha at most (Ville). The p at which it has not are the interval: Robbins, "Statistical
methods related to the law of the iterated logarithm", 1970, and Howard, Ramdas, McAuliffe and
Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021.

Means of numbers without a bound, such as the value of an impression, have an asymptotic one, which
counts from some hundred numbers on: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", 2024, theorem 2.2.

This module does no input and no output.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

_PRIOR = 0.5  # Jeffreys' prior
_STEPS = 60  # of a bisection: the width halves with each
_BEST_AT = 1_000  # number of numbers at which the interval of a mean is narrowest
_MAX_TRIALS = 10**12


class Interval(NamedTuple):
    """An estimate with its anytime-valid interval."""

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of the estimate is shown."""
        return self.low > 0 or self.high < 0


def proportion(successes: int, trials: int, alpha: float = 0.05) -> Interval:
    """Returns the interval of a proportion; from 0 to 1 without trials.

    Raises:
        ValueError: there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    estimate = successes / trials
    evidence = _log_beta(_PRIOR + successes, _PRIOR + trials - successes) - _log_beta(
        _PRIOR, _PRIOR
    )
    limit = evidence + math.log(alpha)  # the likelihood of p must exceed it

    def is_inside(p: float) -> bool:
        return _log_likelihood(p, successes, trials) > limit

    low = 0.0 if successes == 0 else _edge(estimate, 0.0, is_inside)
    high = 1.0 if successes == trials else _edge(estimate, 1.0, is_inside)
    return Interval(estimate, low, high)


def mean(total: float, total_of_squares: float, count: int, alpha: float = 0.05) -> Interval:
    """Returns the asymptotic interval of a mean, from the sum of numbers and of their squares.

    Without at least two numbers it has no bounds.
    """
    if count < 2:
        return Interval(total if count else math.nan, -math.inf, math.inf)
    estimate = total / count
    variance = max(0.0, total_of_squares / count - estimate**2)
    best = _best_rho_squared(alpha)
    scaled = count * best
    spread = (scaled + 1) / (count**2 * best) * 2 * math.log(math.sqrt(scaled + 1) / alpha)
    half = math.sqrt(variance * spread)
    return Interval(estimate, estimate - half, estimate + half)


def difference(first: Interval, second: Interval) -> Interval:
    """Returns the interval of `first` minus `second`.

    Both must have been made with half of the alpha that the difference shall have: each of them
    covers its truth with probability 1 - alpha / 2, so both do with 1 - alpha.
    """
    return Interval(
        first.estimate - second.estimate, first.low - second.high, first.high - second.low
    )


def trials_to_show(rate: float, smallest: float, alpha: float = 0.05) -> int:
    """Returns about how many trials each of two variants needs to show a difference.

    Args:
        rate: proportion of the worse variant.
        smallest: difference to be shown, above 0.
        alpha: probability of an error, of the difference.

    Returns:
        The number of trials of each variant at which the intervals of `rate` and of
        `rate + smallest` do not meet any more, if both are met exactly.
    """
    low, high = 1, 2
    while not _are_apart(rate, smallest, high, alpha):
        low, high = high, 2 * high
        if high > _MAX_TRIALS:
            return _MAX_TRIALS
    while high - low > 1:
        middle = (low + high) // 2
        if _are_apart(rate, smallest, middle, alpha):
            high = middle
        else:
            low = middle
    return high


def _are_apart(rate: float, smallest: float, trials: int, alpha: float) -> bool:
    worse = proportion(round(rate * trials), trials, alpha / 2)
    better = proportion(round(min(1.0, rate + smallest) * trials), trials, alpha / 2)
    return better.low > worse.high


def _edge(inside: float, outside: float, is_inside: Callable[[float], bool]) -> float:
    """Returns where an interval ends, between a point inside and one outside of it."""
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _log_likelihood(p: float, successes: int, trials: int) -> float:
    likelihood = 0.0
    if successes:
        likelihood += successes * math.log(p) if p > 0 else -math.inf
    if successes < trials:
        likelihood += (trials - successes) * math.log1p(-p) if p < 1 else -math.inf
    return likelihood


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _best_rho_squared(alpha: float) -> float:
    """Returns the parameter for which the interval is narrowest at `_BEST_AT` numbers."""
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _BEST_AT
