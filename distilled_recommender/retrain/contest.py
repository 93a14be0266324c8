"""The contest of challenger and champion on the newest slice, which decides who is served.

The challenger of the comparison is a twin, which has not seen the slice; its refit, which has, is
what is published. The champion is the published bundle, as it is served.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from export.contract.bundle import Bundle
from export.served_figures import bundle_ranker
from training.data.dataset import Dataset, Split
from training.distillation.checkpoint import Checkpoint
from training.evaluation.intervals import SHARE, Interval
from training.evaluation.shuffled import relative_change
from training.evaluation.yardstick import SELECTION_METRIC, Evaluation, evaluate, ranker_of
from training.progress import ProgressBar, counting
from training.settings.retrain import RetrainConfig
from training.students.scorer import StudentScorer


@dataclass(frozen=True)
class Outcome:
    """The decision of a contest, with a sentence that says why."""

    decision: Literal["published", "worse", "undecided"]
    reason: str


def relative_gain(
    challenger: Checkpoint, champion: Bundle, dataset: Dataset, num_draws: int
) -> Interval:
    """Returns the challenger's gain in NDCG@20 over the champion on test, with a 95 % interval.

    The gain is relative to the champion's NDCG@20. Both rank after the same histories, and the
    intervals are paired by user. `dataset` must not have been seen by the challenger in test.
    """
    rows = dataset.example_rows(Split.TEST)
    rankers = (
        bundle_ranker(champion, dataset),
        ranker_of(StudentScorer(challenger.student(), dataset), dataset),
    )
    found: list[Evaluation] = []
    with ProgressBar("champion and challenger", 2 * len(rows), "example") as bar:
        found += [evaluate(counting(each, bar), dataset, rows) for each in rankers]
    return relative_change([found[0]], [found[1]], dataset, num_draws)


def level_of(look: int) -> float:
    """Returns the confidence level of the interval at a look, for 95 % over all looks together.

    Look `k` may err with probability `0.05 * 6 / (pi * k) ** 2`. Over all `k`, this sums up to 0.05
    (Euler's sum of `1 / k ** 2`), and so bounds the probability of any error (Boole's inequality).

    Args:
        look: number of this contest with the same champion, from 1 on.
    """
    return 1 - (1 - SHARE) * 6 / (math.pi * look) ** 2


def at_look(gain: Interval, look: int) -> Interval:
    """Returns a 95 % interval stretched to the level of a look.

    Both sides are stretched as those of a normal distribution: the bootstrap has too few draws for
    the quantiles of a late look.
    """
    factor = _normal_quantile(level_of(look)) / _normal_quantile(SHARE)
    low, high = ((end - gain.mean) * factor for end in (gain.low, gain.high))
    return Interval(gain.mean, gain.mean + low, gain.mean + high)


def _normal_quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def decide(gain: Interval, examples: int, config: RetrainConfig) -> Outcome:
    """Decides by the relative gain of the challenger on `examples` examples of the newest slice."""
    figures = (
        f"{SELECTION_METRIC} {gain.mean:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}] on {examples:,} "
        "examples of the newest slice"
    )
    if gain.low > config.margin:
        return Outcome("published", f"{figures}: the lower end is above {config.margin:+.1%}")
    if gain.high < 0:
        return Outcome("worse", f"{figures}: worse than the champion")
    return Outcome(
        "undecided", f"{figures}: too few to rule out a loss of more than {-config.margin:.1%}"
    )
