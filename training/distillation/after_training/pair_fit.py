"""Gives a trained student its pair bonus: counts pairs of items and chooses the bonus' settings.

The pairs are those of order-aware item kNN, a baseline. Of each item the `NUM_PAIRS` heaviest are
kept. The student's weights do not change. Settings are chosen by NDCG@20 on validation examples; a
refit takes over those of its validation run, and counts its own training interactions.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.distillation.distributed import Processes
from training.distillation.trainer import Trainer
from training.evaluation.baselines.item_neighbours import ItemPairs, ItemSettings
from training.evaluation.baselines.sessions import Sessions
from training.evaluation.baselines.tuning import tuned
from training.evaluation.yardstick import SELECTION_METRIC, Scorer
from training.students.pair_bonus import PairBonus
from training.students.scorer import StudentScorer
from training.students.student import Student

# Increment when a code change gives another bonus for unchanged settings.
PAIRS_VERSION = 2
FORMER_PAIRS_VERSION = 1  # eight settings were searched, on 2,000 examples
# More than a baseline's search ranks, for fewer settings: the best of many settings on few examples
# is often the best by chance.
MAX_EXAMPLES = 5_000
NUM_PAIRS = 64  # pairs of an item in the table; a graph has 8 bytes for each
PairTable = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Items and weights of the pairs of each item, `[catalog rows, pairs]` each."""

OPTIONS: Mapping[str, Sequence[float]] = {
    "strength": (0.5, 1.0, 2.0, 3.0, 4.5),
    "sharpness": (3.0, 10.0, 30.0, 100.0),
    "backward": (0.0, 0.3, 0.6, 1.0),
    "decay": (0.6, 0.8, 0.9),
}
"""Values to try of some settings of `PairSettings`; the others keep their defaults. Strength 0, by
which all other values are equally good, is not among them: the search would end there whenever the
values that it begins with lose to no bonus. `add_after_training` compares with no bonus."""


@dataclass(frozen=True)
class PairSettings(ItemSettings):
    """Settings of a pair bonus: those of item kNN, which weigh a pair, and two of the bonus.

    The defaults of item kNN's are others: they weigh pairs that are added to a student's scores.

    Attributes:
        sharpness: factor of all weights of pairs. In the bonus, a logarithm, it decides how much
            many pairs count more than few.
        strength: factor of the bonus.
    """

    reach: float = 16.0
    backward: float = 0.0
    rarity_of_read: float = 0.5
    rarity_of_scored: float = 0.25
    sharpness: float = 10.0
    strength: float = 2.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "PairSettings | None":
        """Returns settings of which `values` has all values by name; None if it is empty."""
        return cls(**values) if values else None

    @property
    def table(self) -> "PairSettings":
        """The settings that the table of pairs depends on; all others are those of `START`."""
        others = {name: getattr(START, name) for name in ("decay", "sharpness", "strength")}
        return replace(self, **others)


START = PairSettings()
"""The settings that the search starts from. Those that it does not try were near the best, by
validation, for students of two configs, movielens.toml and amazon-games-paper-original.toml."""


def stamp_parts(*, precedes_cold_items: bool, is_former: bool) -> list[object]:
    """Returns the values that a pair bonus adds to the stamp (hash) of a training run.

    Args:
        precedes_cold_items: whether cold items are placed after it.
        is_former: whether the stamp is that of the former version, which placed cold items first.
    """
    if is_former:
        return ["pair bonus", FORMER_PAIRS_VERSION]
    return ["pair bonus", PAIRS_VERSION, *["before cold items"] * precedes_cold_items]


def add_after_training(trainer: Trainer) -> PairSettings | None:
    """Gives the trained student of `trainer` the pair bonus that is best on validation.

    The student with the bonus becomes the best one of `trainer.progress`. The time that this takes
    is added to `trainer.progress.seconds`. Of several processes the first one chooses the settings.

    Args:
        trainer: a trainer after its last epoch.

    Returns:
        The settings of the bonus. None if the student gets none: no bonus is better than none on
        all validation examples, or the student has learned nothing that the bonus could add to.
    """
    before = trainer.progress.best_metrics[SELECTION_METRIC]
    if not before:
        return None
    began = time.perf_counter()
    chosen = START
    if trainer.processes.rank == 0:
        chosen = tuned_settings(trainer.student, trainer.dataset)
    settings = _of_first_process(chosen, trainer.processes)
    trainer.student.pair_bonus = _on_device(bonus_of(trainer.dataset, settings), trainer)
    metrics = trainer.validate()
    trainer.progress.seconds += time.perf_counter() - began
    if metrics[SELECTION_METRIC] <= before:
        trainer.student.pair_bonus = None
        return None
    trainer.progress.keep(trainer.student, metrics)
    return settings


def add_with(settings: PairSettings, trainer: Trainer) -> None:
    """Gives the refitted student of `trainer` a pair bonus with the given settings.

    The student with the bonus becomes the best one of `trainer.progress`.
    """
    began = time.perf_counter()
    trainer.student.pair_bonus = _on_device(bonus_of(trainer.dataset, settings), trainer)
    trainer.progress.keep(trainer.student, {})
    trainer.progress.seconds += time.perf_counter() - began


def _on_device(bonus: PairBonus, trainer: Trainer) -> PairBonus:
    return bonus.to(trainer.processes.device)


def _of_first_process(settings: PairSettings, processes: Processes) -> PairSettings:
    """Returns the settings that the first of `processes` passes; each process gets the same."""
    values = np.array(astuple(settings), dtype=np.float64).view(
        np.int64
    )  # `collect` takes whole numbers
    first = processes.collect(values)[: len(values)].view(np.float64)
    return PairSettings(*first.tolist())


def tuned_settings(student: Student, dataset: Dataset) -> PairSettings:
    """Returns the settings of the pair bonus with which `student` is best on validation.

    The pair bonus of `student` is replaced.
    """
    device = student.item_table.padding.device
    pairs = ItemPairs(Sessions(dataset), START.reach)

    @lru_cache(maxsize=len(OPTIONS["backward"]))
    def table(settings: PairSettings) -> PairTable:
        return heaviest_pairs(pairs, settings, NUM_PAIRS)

    @lru_cache(maxsize=1)
    def bonus(settings: PairSettings) -> PairBonus:
        return _bonus(table(settings.table), settings).to(device)

    ranked = StudentScorer(student, dataset)

    def scorer_of(settings: PairSettings) -> Scorer:
        def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            student.pair_bonus = bonus(settings)
            return ranked(rows)

        return score

    return tuned(START, OPTIONS, scorer_of, dataset, "choosing the pair bonus", MAX_EXAMPLES)


def bonus_of(dataset: Dataset, settings: PairSettings) -> PairBonus:
    """Counts the pairs of the training sessions of `dataset`, and makes the bonus of them."""
    pairs = ItemPairs(Sessions(dataset), settings.reach)
    return _bonus(heaviest_pairs(pairs, settings, NUM_PAIRS), settings)


def _bonus(table: PairTable, settings: PairSettings) -> PairBonus:
    items, weights = map(torch.from_numpy, table)
    return PairBonus(items, weights * settings.sharpness, settings.decay, settings.strength)


def heaviest_pairs(pairs: ItemPairs, settings: ItemSettings, number: int) -> PairTable:
    """Returns the `number` heaviest pairs of each item, heaviest first; 0 fills up.

    Returns:
        The items and the weights of the pairs, `[catalog rows, number]` each.
    """
    num_rows = len(pairs.sessions_with)
    all_weights, begins = pairs.weights(settings), pairs.begins
    items = np.zeros((num_rows, number), dtype=np.int32)
    weights = np.zeros((num_rows, number), dtype=np.float32)
    for row in range(num_rows):
        of_row = all_weights[begins[row] : begins[row + 1]]
        heaviest = _heaviest(of_row, number)
        items[row, : len(heaviest)] = pairs.scored[begins[row] + heaviest]
        weights[row, : len(heaviest)] = of_row[heaviest]
    return items, weights


def _heaviest(weights: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Returns the places of the `number` largest weights above 0, largest first."""
    places = np.arange(len(weights))
    if len(weights) > number:
        places = np.sort(np.argpartition(-weights, number)[:number])
    order = np.argsort(-weights[places], kind="stable")
    return places[order][: int((weights[places] > 0).sum())]
