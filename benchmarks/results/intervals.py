"""Tells how far a median of repeated measurements can be trusted."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.results.figures import Figure

_NUM_DRAWS = 10_000
_ENDS = (2.5, 97.5)  # percentiles: the middle 95 %


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the median of `values`, by bootstrap.

    The values must be independent of each other.
    """
    draws = np.random.default_rng(0).choice(values, (_NUM_DRAWS, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), _ENDS)
    return float(low), float(high)


def interval_figures(name: str, values: Sequence[float], upper_at_most: float) -> Iterator[Figure]:
    """Yields both ends of the interval of a median of ratios, as figures.

    Args:
        name: name of the figure whose runs are `values`.
        values: the ratios.
        upper_at_most: target of the upper end.
    """
    low, high = median_interval(values)
    yield Figure(name=f"{name}, lower end of the interval", unit="times", runs=(low,))
    yield Figure(
        name=f"{name}, upper end of the interval",
        unit="times",
        runs=(high,),
        at_most=upper_at_most,
    )
