"""Anytime-valid intervals, which stay valid however often an experiment is looked at.

An ordinary 95 % interval misses the truth in 5 % of the experiments, at one look that was fixed in
advance. Looking every day and stopping at a favourable result gives far more errors. A *confidence
sequence* covers the truth at all looks together with probability 1 - alpha.

Proportions, such as click-through, have an exact confidence sequence. If p is the true proportion,
the beta-binomial mixture

    M(p) = B(a + s, a + n - s) / (B(a, a) p^s (1 - p)^(n - s)),   a = 1/2,

after s successes in n trials is a martingale with mean 1. By Ville's inequality, the probability
that it ever reaches 1 / alpha is at most alpha. So the interval holds all p with M(p) < 1 / alpha.
Sources: Robbins, "Statistical methods related to the law of the iterated logarithm", 1970, and
Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
sequences", 2021.

Means of unbounded numbers, such as the value of an impression, have an asymptotic confidence
sequence, valid from some hundred numbers on. Source: Waudby-Smith, Arbour, Sinha, Kennedy and
Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", 2024, theorem 2.2.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

_PRIOR = 0.5  # Jeffreys' prior
_STEPS = 60  # of a bisection: the width halves with each
_BEST_AT = 1_000  # sample size at which the interval of a mean is narrowest
_MAX_TRIALS = 10**12


class Interval(NamedTuple):
    """An estimate with its anytime-valid interval.

    Attributes:
        estimate: the point estimate; NaN without data.
        low: lower bound; minus infinity: no bound.
        high: upper bound; infinity: no bound.
    """

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes zero, which shows the sign of the estimate."""
        return self.low > 0 or self.high < 0


def proportion(successes: int, trials: int, alpha: float = 0.05) -> Interval:
    """Returns the anytime-valid interval of a proportion, a beta-binomial confidence sequence.

    The probability that the intervals at all looks contain the true proportion is at least
    `1 - alpha`. Without trials, the interval is [0, 1] and the estimate is NaN.

    Raises:
        ValueError: `successes` is negative or more than `trials`.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    estimate = successes / trials
    evidence = _log_beta(_PRIOR + successes, _PRIOR + (trials - successes)) - _log_beta(
        _PRIOR, _PRIOR
    )
    limit = evidence + math.log(alpha)  # the likelihood of p must exceed it

    def is_inside(p: float) -> bool:
        return _log_likelihood(p, successes, trials) > limit

    low = 0.0 if successes == 0 else _edge(estimate, 0.0, is_inside)
    high = 1.0 if successes == trials else _edge(estimate, 1.0, is_inside)
    return Interval(estimate, low, high)


def mean(total: float, total_of_squares: float, count: int, alpha: float = 0.05) -> Interval:
    """Returns the asymptotic interval of the mean of `count` numbers.

    Args:
        total: sum of the numbers.
        total_of_squares: sum of their squares.
        count: number of numbers; if it is below 2, the interval has no bounds.
        alpha: probability that the interval ever misses the true mean.
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

    To limit the error probability of the difference to alpha, compute both intervals with
    alpha / 2.
    """
    return Interval(
        first.estimate - second.estimate, first.low - second.high, first.high - second.low
    )


def trials_to_show(rate: float, smallest: float, alpha: float = 0.05) -> int:
    """Estimates how many trials each of two variants needs to show a difference.

    Args:
        rate: proportion of the worse variant.
        smallest: difference to show, above 0.
        alpha: error probability of the difference.

    Returns:
        The number of trials at which the intervals of the two variants no longer overlap, if their
        observed proportions are `rate` and `rate + smallest`; `_MAX_TRIALS` at most.
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
    """Finds an end of an interval by bisection between a point inside and a point outside.

    Returns a point just outside. `is_inside`: tells whether a point lies in the interval.
    """
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
    """Returns rho^2, a parameter of the interval of a mean, narrowest for `_BEST_AT` numbers.

    `alpha`: probability that the interval ever misses the true mean.
    """
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _BEST_AT
