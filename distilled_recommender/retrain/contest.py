"""Compares challenger and champion on the newest slice, to decide which of them is served.

The challenger is measured by its twin, a refit that has not seen the slice. If the challenger wins,
its refit that has seen the slice is published. The champion is the active bundle, and ranks with
the service's code.
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from export.contract.bundle import Bundle
from export.served_figures import bundle_ranker
from training.data.dataset import Dataset, Split
from training.distillation.checkpoint import Checkpoint
from training.evaluation.intervals import FEWEST_USERS, SHARE, Interval
from training.evaluation.shuffled import relative_change
from training.evaluation.yardstick import SELECTION_METRIC, Evaluation, evaluate, ranker_of
from training.progress import ProgressBar, counting
from training.settings.retrain import RetrainConfig
from training.students.scorer import StudentScorer


@dataclass(frozen=True)
class Outcome:
    """The decision of a contest, and a sentence that gives the reason.

    `decide` says when a contest ends as "published", "worse" or "undecided".
    """

    decision: Literal["published", "worse", "undecided"]
    reason: str


def relative_gain(
    challenger: Checkpoint, champion: Bundle, dataset: Dataset, num_draws: int
) -> Interval:
    """Computes the challenger's gain in NDCG@20 over the champion, with a 95 % interval.

    The gain is on the test examples of `dataset`, relative to the champion's NDCG@20. The bootstrap
    is paired by user and has `num_draws` draws. The challenger must not have been trained on the
    test rows.
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
    """Returns the confidence level of one look's interval, so that all looks together reach 95 %.

    Look `k` may err with probability `0.05 * 6 / (pi * k) ** 2`. Over all `k`, these probabilities
    sum up to 0.05 (Euler's sum of `1 / k ** 2`). The sum bounds the probability of any error
    (Boole's inequality).

    Args:
        look: number of this contest among those with the same champion, from 1.
    """
    return 1 - (1 - SHARE) * 6 / (math.pi * look) ** 2


def at_look(gain: Interval, look: int) -> Interval:
    """Widens a 95 % interval to the confidence level of contest number `look`, from 1.

    `level_of` computes this level from the number of the contest with the same champion.
    Both sides are scaled by the ratio of two normal quantiles, since the bootstrap has too few
    draws for the quantiles of a late look.
    """
    factor = _normal_quantile(level_of(look)) / _normal_quantile(SHARE)
    low, high = ((end - gain.mean) * factor for end in (gain.low, gain.high))
    return replace(gain, low=gain.mean + low, high=gain.mean + high)


def _normal_quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def decide(gain: Interval, examples: int, config: RetrainConfig) -> Outcome:
    """Decides a contest by the interval of the challenger's gain on the newest slice.

    The decision is "published" if the lower end is above `config.margin`, and "worse" if the upper
    end is below 0. Otherwise, and whenever there are few users, it is "undecided". A gain is
    infinite if the champion has no hit, and not a number if neither has one.

    Args:
        gain: relative gain with its interval, as `at_look` returns it.
        examples: number of examples of the newest slice.
        config: settings of the retraining, with the accepted loss `margin`.
    """
    figures = f"{_described(gain)} on {examples:,} examples of the newest slice"
    if gain.has_few_users:
        return Outcome("undecided", f"{figures} of fewer than {FEWEST_USERS} users: too few")
    if math.isnan(gain.mean):
        return Outcome("undecided", f"{figures}: nothing to compare")
    if math.isinf(gain.mean):
        return Outcome("published", f"{figures}: the champion can lose nothing")
    if gain.low > config.margin:
        return Outcome("published", f"{figures}: the lower end is above {config.margin:+.1%}")
    if gain.high < 0:
        return Outcome("worse", f"{figures}: worse than the champion")
    return Outcome(
        "undecided", f"{figures}: too few to rule out a loss of more than {-config.margin:.1%}"
    )


def _described(gain: Interval) -> str:
    if math.isnan(gain.mean):
        return f"{SELECTION_METRIC} 0 of champion and challenger"
    if math.isinf(gain.mean):
        return f"{SELECTION_METRIC} 0 of the champion, and more of the challenger,"
    return f"{SELECTION_METRIC} {gain.mean:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"
