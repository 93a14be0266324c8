"""Gives a trained student its pair bonus: counts pairs of items and chooses the bonus' settings.

The pairs are those of order-aware item kNN, a baseline. Of each item the `NUM_PAIRS` heaviest are
kept. The student's weights do not change. Settings are chosen by NDCG@20 on validation examples; a
refit takes over those of its validation run, and counts its own training interactions.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.distillation.trainer import Trainer
from training.errors import ConfigError
from training.evaluation.baselines import item_neighbours
from training.evaluation.baselines.item_neighbours import ItemPairs, ItemSettings
from training.evaluation.baselines.sessions import Sessions
from training.evaluation.baselines.tuning import tuned
from training.evaluation.yardstick import Scorer
from training.students.pair_bonus import PairBonus
from training.students.scorer import StudentScorer
from training.students.student import Student

# Increment when a code change gives another bonus for unchanged settings.
PAIRS_VERSION = 1
NUM_PAIRS = 64  # pairs of an item in the table; a bundle has 8 bytes for each, twice
MAX_ITEMS = 1_000_000  # the table of a larger catalog would take over half a GiB

OPTIONS: Mapping[str, Sequence[float]] = {
    **item_neighbours.OPTIONS,
    "sharpness": (3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0),
    "strength": (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
}
"""Values to try of each setting of `PairSettings`. Of strength 0, the bonus is 0."""


@dataclass(frozen=True)
class PairSettings(ItemSettings):
    """Settings of a pair bonus: those of item kNN, which weigh a pair, and two of the bonus.

    Attributes:
        sharpness: factor of all weights of pairs. In the bonus, a logarithm, it decides how much
            many pairs count more than few.
        strength: factor of the bonus.
    """

    sharpness: float = 100.0
    strength: float = 0.5


START = PairSettings()
"""The settings that tuning starts from."""


def place_after_training(trainer: Trainer, given: PairSettings | None) -> PairSettings:
    """Gives the trained student of `trainer` a pair bonus; returns its settings.

    The student with the bonus becomes the best one of `trainer.progress`. The time that this takes
    is added to `trainer.progress.seconds`.

    Args:
        trainer: a trainer after its last epoch.
        given: settings of the bonus, for a refit; None chooses them on validation examples.
    """
    began = time.perf_counter()
    student, dataset = trainer.student, trainer.dataset
    settings = given or tuned_settings(student, dataset)
    student.pair_bonus = bonus_of(dataset, settings).to(trainer.processes.device)
    metrics = trainer.validate() if given is None else {}
    trainer.progress.keep(student, metrics)
    trainer.progress.seconds += time.perf_counter() - began
    return settings


def refuse_large_catalog(dataset: Dataset) -> None:
    """Raises a ConfigError if the catalog has more than `MAX_ITEMS` items."""
    if dataset.catalog.num_items > MAX_ITEMS:
        raise ConfigError(
            f"training.pair_bonus: the catalog has {dataset.catalog.num_items:,} items, and a "
            f"table of pairs can have {MAX_ITEMS:,}; switch it off"
        )


def tuned_settings(student: Student, dataset: Dataset) -> PairSettings:
    """Returns the settings of the pair bonus with which `student` is best on validation.

    The pair bonus of `student` is replaced.
    """
    index, device = Sessions(dataset), student.item_table.padding.device

    @lru_cache(maxsize=len(OPTIONS["reach"]))
    def pairs(reach: float) -> ItemPairs:
        return ItemPairs(index, reach)

    @lru_cache(maxsize=1)
    def bonus(settings: PairSettings) -> PairBonus:
        return _bonus(pairs(settings.reach), settings).to(device)

    ranked = StudentScorer(student, dataset)

    def scorer_of(settings: PairSettings) -> Scorer:
        def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            student.pair_bonus = bonus(settings)
            return ranked(rows)

        return score

    return tuned(START, OPTIONS, scorer_of, dataset, "choosing the pair bonus")


def bonus_of(dataset: Dataset, settings: PairSettings) -> PairBonus:
    """Counts the pairs of the training sessions of `dataset`, and makes the bonus of them."""
    return _bonus(ItemPairs(Sessions(dataset), settings.reach), settings)


def _bonus(pairs: ItemPairs, settings: PairSettings) -> PairBonus:
    items, weights = heaviest_pairs(pairs, settings, NUM_PAIRS)
    return PairBonus(
        torch.from_numpy(items),
        torch.from_numpy(weights) * settings.sharpness,
        settings.decay,
        settings.strength,
    )


def heaviest_pairs(
    pairs: ItemPairs, settings: ItemSettings, number: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Returns the `number` heaviest pairs of each item, heaviest first; 0 fills up.

    The weights of a pair's two directions are added up.

    Returns:
        The items and the weights of the pairs, `[catalog rows, number]` each.
    """
    num_rows = len(pairs.sessions_with)
    read, scored, weights = pairs.weighted(settings)
    keys, places = np.unique(read * num_rows + scored, return_inverse=True)
    sums = np.bincount(places, weights=weights, minlength=len(keys))
    read, scored = np.divmod(keys, num_rows)
    order = np.lexsort((-sums, read))
    read, scored, sums = read[order], scored[order], sums[order]
    rank = np.arange(len(read)) - np.searchsorted(read, np.arange(num_rows))[read]
    kept = (rank < number) & (sums > 0)
    items = np.zeros((num_rows, number), dtype=np.int32)
    values = np.zeros((num_rows, number), dtype=np.float32)
    items[read[kept], rank[kept]] = scored[kept]
    values[read[kept], rank[kept]] = sums[kept]
    return items, values
