"""Shuffles the histories of a dataset, to measure how much a ranker uses their order.

Source: Klenitskiy et al., "Does it look sequential?", RecSys 2024. The whole history of each
example is shuffled, not just its newest items. So a student whose window is shorter than the
history also reads other items than before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.evaluation.intervals import Bootstrap, Interval
from training.evaluation.metrics import metric_values
from training.evaluation.yardstick import SELECTION_METRIC, Evaluation


@dataclass(frozen=True)
class ShuffledDataset(Dataset):
    """A view of a dataset in which the items of each history are in random order.

    Attributes:
        seed: seed of the random orders. With the same seed, a row always has the same order.
    """

    seed: int = 0

    def history(self, row: int) -> NDArray[np.int32]:
        """Returns the item indices of the user's rows before `row`, in random order."""
        return np.random.default_rng([self.seed, row]).permutation(super().history(row))


def with_shuffled_histories(dataset: Dataset, seed: int = 0) -> ShuffledDataset:
    """Returns a copy of `dataset` with each history in a random order that `seed` decides."""
    content = {each.name: getattr(dataset, each.name) for each in fields(dataset)}
    return ShuffledDataset(**content, seed=seed)


def relative_change(
    before: Sequence[Evaluation], after: Sequence[Evaluation], dataset: Dataset, num_draws: int
) -> Interval:
    """Returns the relative change of a student's mean NDCG@20 by shuffling, with a 95 % interval.

    Args:
        before: one evaluation for each run of a student.
        after: for each of these runs, its evaluation with shuffled histories.
        dataset: dataset of the examples.
        num_draws: number of bootstrap draws.
    """
    rows = before[0].rows
    bootstrap = Bootstrap(dataset.user_of_row[rows], num_draws)
    every_example = np.ones(len(rows), dtype=np.bool_)
    ordered, shuffled = (
        bootstrap.draws(
            np.stack([metric_values(each.ranks, SELECTION_METRIC) for each in runs]), every_example
        )
        for runs in (before, after)
    )
    return shuffled.relative_to(ordered).interval()
