"""How sure a figure is: a bootstrap over users and over seeds, paired between rankers.

Examples of one user are alike, so whole users are drawn; runs of one student differ by their
seed, so seeds are drawn too. Every figure of a report sees the same draws: the difference of two
rankers is then taken draw by draw, and what makes users easy or hard cancels out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SHARE = 0.95  # of the draws lies within an interval
DRAWS_AT_A_TIME = 100


@dataclass(frozen=True)
class Interval:
    """A figure and the middle 95 % of its draws."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign is beyond doubt."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Draws:
    """A figure and what it would have been with other users and seeds, `[draws]`."""

    figure: float
    drawn: NDArray[np.float64]

    def interval(self) -> Interval:
        """A draw that met none of the examples has no figure and is passed over."""
        edges = [(1 - SHARE) / 2, (1 + SHARE) / 2]
        known = self.drawn[np.isfinite(self.drawn)]
        low, high = np.quantile(known, edges) if len(known) else (np.nan, np.nan)
        return Interval(self.figure, float(low), float(high))

    def minus(self, other: "Draws") -> "Draws":
        """The difference, draw by draw."""
        return Draws(self.figure - other.figure, self.drawn - other.drawn)

    def relative_to(self, other: "Draws") -> "Draws":
        """The relative gain over `other`, draw by draw; no figure where `other` is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.float64(self.figure) / other.figure
            return Draws(float(ratio - 1), self.drawn / other.drawn - 1)


def mean_of(several: Sequence[Draws]) -> Draws:
    """The mean of some figures, draw by draw."""
    figure = float(np.mean([each.figure for each in several]))
    return Draws(figure, np.mean([each.drawn for each in several], axis=0))


class Bootstrap:
    """The draws of one set of examples.

    Args:
        users: `[examples]`, whose each example is.
        num_draws: how many draws.
        seed: of the draws.
    """

    def __init__(self, users: NDArray[np.integer], num_draws: int, seed: int = 0) -> None:
        _, self.user_of_example = np.unique(users, return_inverse=True)
        self.num_users = int(self.user_of_example.max(initial=-1)) + 1
        self.num_draws = num_draws
        self.seed = seed

    def draws(self, values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> Draws:
        """The mean of `values` over runs and chosen examples.

        Args:
            values: `[runs, examples]`.
            chosen: `[examples]`, which examples count.
        """
        users, counted = self.user_of_example[chosen], values[:, chosen]
        sums = np.stack(
            [np.bincount(users, weights=each, minlength=self.num_users) for each in counted]
        )
        counts = np.bincount(users, minlength=self.num_users)
        with np.errstate(invalid="ignore"):
            means = np.concatenate(
                [
                    (times @ sums.T) / (times @ counts)[:, None]  # [draws, runs]
                    for times in map(_as_numbers, self._times_drawn)
                ]
            )
            figure = sums.sum() / (len(values) * counts.sum())
        return Draws(float(figure), (means * self._run_shares(len(values))).sum(axis=1))

    @cached_property
    def _times_drawn(self) -> Sequence[NDArray[np.uint8]]:
        """How often each draw has each user, in pieces of `[draws, users]`."""
        random = np.random.default_rng(self.seed)
        begins = range(0, self.num_draws, DRAWS_AT_A_TIME)
        sizes = [min(DRAWS_AT_A_TIME, self.num_draws - begin) for begin in begins]
        return [_counts(random, size, self.num_users) for size in sizes]

    def _run_shares(self, num_runs: int) -> NDArray[np.float64]:
        """What share of each draw a run has, `[draws, runs]`; the same for as many runs."""
        random = np.random.default_rng([self.seed, num_runs])
        return _counts(random, self.num_draws, num_runs) / num_runs


def _counts(random: np.random.Generator, num_draws: int, size: int) -> NDArray[np.uint8]:
    """How often `size` draws with replacement meet each of `size` things, `[draws, size]`."""
    drawn = random.integers(size, size=(num_draws, size)) + np.arange(num_draws)[:, None] * size
    counts = np.bincount(drawn.ravel(), minlength=num_draws * size)
    return counts.reshape(num_draws, size).astype(np.uint8)


def _as_numbers(counts: NDArray[np.uint8]) -> NDArray[np.float64]:
    return counts.astype(np.float64)
