"""Computes 95 % confidence intervals over users and seeds, paired between rankers.

Examples of one user depend on each other, so whole users are drawn with replacement. Runs of one
student differ by their seed, and there are few runs. In a bootstrap of `n` runs, the variance of
their mean would be too small by the factor `(n - 1) / n`, and the tails too light. So a draw varies
the mean over seeds by Student's t with `n - 1` degrees of freedom (Student, "The probable error of
a mean", Biometrika 1908). The variations over users and over seeds are added draw by draw, as in
the Behrens-Fisher problem.

All figures of a report use the same draws. The difference of two rankers is therefore taken draw by
draw, and variation that both share cancels out. If users did not vary, the interval of a difference
would be that of the paired t-test over seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SHARE = 0.95  # share of the draws that lies within an interval
DRAWS_AT_A_TIME = 100
FEWEST_USERS = 20
"""Number of users below which no difference is called shown.

A bootstrap of few users draws the same few again: one user gives an interval without any width.
"""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % confidence interval: the middle 95 % of its bootstrap draws.

    Attributes:
        mean: the figure on all examples.
        low: lower end of the interval.
        high: upper end of the interval.
        has_few_users: whether fewer than `FEWEST_USERS` users were drawn from, so that the interval
            shows nothing.
    """

    mean: float
    low: float
    high: float
    has_few_users: bool = False

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval is above 0, and of enough users."""
        return self.low > 0 and not self.has_few_users

    @property
    def is_below_zero(self) -> bool:
        """Whether the whole interval is below 0, and of enough users."""
        return self.high < 0 and not self.has_few_users

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is above or below 0."""
        return self.is_above_zero or self.is_below_zero


def percent(relative: Interval) -> str:
    """Formats a relative difference with its interval, as `+8.7% [+1.2%, +16.1%]`.

    A difference from 0 has no relative value; it is `undefined`.
    """
    if not np.isfinite(relative.mean):
        return "undefined"
    return f"{relative.mean:+.1%} [{relative.low:+.1%}, {relative.high:+.1%}]"


@dataclass(frozen=True)
class Draws:
    """A figure, such as the mean NDCG@20 of a ranker, and its value in each bootstrap draw.

    Attributes:
        figure: the figure on all examples.
        drawn: `[draws]`, the figure in each draw; NaN for a draw without an example.
        has_few_users: whether the draws are of fewer than `FEWEST_USERS` users.
    """

    figure: float
    drawn: NDArray[np.float64]
    has_few_users: bool = False

    def interval(self) -> Interval:
        """Returns the figure with its 95 % interval; draws that are not finite are ignored."""
        edges = [(1 - SHARE) / 2, (1 + SHARE) / 2]
        known = self.drawn[np.isfinite(self.drawn)]
        low, high = np.quantile(known, edges) if len(known) else (np.nan, np.nan)
        return Interval(self.figure, float(low), float(high), self.has_few_users)

    def minus(self, other: "Draws") -> "Draws":
        """Returns the difference `self - other` of two figures, draw by draw."""
        few = self.has_few_users or other.has_few_users
        return Draws(self.figure - other.figure, self.drawn - other.drawn, few)

    def relative_to(self, other: "Draws") -> "Draws":
        """Returns the relative gain `self / other - 1`, draw by draw.

        The gain is not finite where `other` is 0.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.float64(self.figure) / other.figure
            few = self.has_few_users or other.has_few_users
            return Draws(float(ratio - 1), self.drawn / other.drawn - 1, few)


def mean_of(several: Sequence[Draws]) -> Draws:
    """Returns the mean of several figures, draw by draw."""
    figure = float(np.mean([each.figure for each in several]))
    few = any(each.has_few_users for each in several)
    return Draws(figure, np.mean([each.drawn for each in several], axis=0), few)


class Bootstrap:
    """A bootstrap over users and seeds: computes the mean of a metric in each of many draws.

    A draw takes users with replacement, and adds a random deviation for the variation over seeds.

    Args:
        users: `[examples]`, the user of each example.
        num_draws: number of draws.
        seed: seed of the random draws; equal arguments give equal draws.
    """

    def __init__(self, users: NDArray[np.integer], num_draws: int, seed: int = 0) -> None:
        _, self.user_of_example = np.unique(users, return_inverse=True)
        self.num_users = int(self.user_of_example.max(initial=-1)) + 1
        self.num_draws = num_draws
        self.seed = seed

    def draws(self, values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> Draws:
        """Computes the mean of a metric over runs and chosen examples, and its value in each draw.

        The value in a draw is the mean over the drawn users, plus a random deviation for the
        variation over seeds.

        Args:
            values: `[runs, examples]`, metric of each example in each run.
            chosen: `[examples]`, whether each example counts.
        """
        users, counted = self.user_of_example[chosen], values[:, chosen]
        sums = np.bincount(users, weights=counted.mean(axis=0), minlength=self.num_users)
        counts = np.bincount(users, minlength=self.num_users)
        with np.errstate(invalid="ignore"):
            means = np.concatenate(
                [(times @ sums) / (times @ counts) for times in map(_as_float, self._times_drawn)]
            )
            of_runs = counted.sum(axis=1) / counts.sum()
        drawn = means + self._run_weights(len(values)) @ of_runs
        return Draws(float(of_runs.mean()), drawn, bool(np.count_nonzero(counts) < FEWEST_USERS))

    @cached_property
    def _times_drawn(self) -> Sequence[NDArray[np.uint8]]:
        """Number of times that each draw contains each user, in arrays `[draws, users]`.

        Each array holds at most `DRAWS_AT_A_TIME` draws.
        """
        random = np.random.default_rng(self.seed)
        begins = range(0, self.num_draws, DRAWS_AT_A_TIME)
        sizes = [min(DRAWS_AT_A_TIME, self.num_draws - begin) for begin in begins]
        return [_counts(random, size, self.num_users) for size in sizes]

    def _run_weights(self, num_runs: int) -> NDArray[np.float64]:
        """Draws random weights of the runs, to simulate the sampling error of the mean over seeds.

        In each draw, the error is the weighted sum of the runs' figures; the weights sum to 0. For
        `n` figures with standard deviation `s`, the error is `s / sqrt(n)` times a random number
        from Student's t with `n - 1` degrees of freedom.

        Args:
            num_runs: number of runs `n`, one per seed.

        Returns:
            `[draws, runs]`; zeros for one run, whose error cannot be estimated.
        """
        if num_runs == 1:
            return np.zeros((self.num_draws, 1))
        random = np.random.default_rng([self.seed, num_runs])
        normal = random.standard_normal((self.num_draws, num_runs))
        normal -= normal.mean(axis=1, keepdims=True)
        # A centred normal vector times figures has variance `(n - 1) s ** 2`.
        scale = np.sqrt(random.chisquare(num_runs - 1, self.num_draws) * num_runs)
        weights: NDArray[np.float64] = normal / scale[:, None]
        return weights


def _counts(random: np.random.Generator, num_draws: int, size: int) -> NDArray[np.uint8]:
    """Draws `size` of `size` elements with replacement, `num_draws` times.

    Returns:
        `[num_draws, size]`, how many times each draw contains each element.
    """
    drawn = random.integers(size, size=(num_draws, size)) + np.arange(num_draws)[:, None] * size
    counts = np.bincount(drawn.ravel(), minlength=num_draws * size)
    return counts.reshape(num_draws, size).astype(np.uint8)


def _as_float(counts: NDArray[np.uint8]) -> NDArray[np.float64]:
    return counts.astype(np.float64)
