"""Cold start: the step after training that gives vectors to cold items ("places" them).

Before this step, a cold item's vector is made from its title alone. It then scores far below
trained items and is hardly ever recommended. The formula of the vector of a placed item is in
`students/cold_items.py`. This module chooses the parts of that formula:

- Donors are the trained items that were still in demand when training ended, so their offsets
  describe current users. The offset of an old item describes users who have left.
- A common offset and a second projection of titles are fitted on validation examples. The second
  projection is needed because a title predicts the demand for a new item differently than for an
  old one. The student also reads these vectors: after a history with cold items, it ranks cold
  items higher.
- The bonus is the mean amount that offset and second projection add to the scores of cold items. It
  lowers the NDCG@20 of warm next items. The setting `distillation.cold_price`, the price, is the
  share of that NDCG@20 that may be lost.

NDCG@20 is measured on users who are not in the fit, here and where students are compared: a fit on
each half of the users of validation is evaluated on the other half. The mean of both fits is used.

The fit assumes that users can choose every item of the catalog. Benchmark data list an item only
because a user chooses it later, so every cold item looks promising in them.

Arrays `[items]` have no entry for padding.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.distillation.after_training.cold_fit import ColdFit, Rows, centred_fit, mean_with
from training.distillation.batches import TrainingWindows
from training.distillation.trainer import Trainer
from training.evaluation.yardstick import SELECTION_METRIC, Evaluation, evaluate, ranker_of
from training.progress import ProgressBar
from training.settings.experiment import DistillationConfig
from training.students.cold_items import NUM_NEIGHBOURS
from training.students.scorer import StudentScorer
from training.students.student import Student

# Increment when a code change places cold items differently for unchanged settings.
COLD_VERSION = 5

# Bonuses to try: first the coarse ones, then fine steps around the best coarse one. Coarse ones are
# half a point apart and seldom use up the price.
COARSE_BONUSES = tuple(number / 2 for number in range(-4, 5))
FINE_STEPS = tuple(number / 16 for number in range(-7, 8) if number)
LAST_ROWS, MIN_HOLDERS = 2, 2  # see `current_items`


@dataclass(frozen=True)
class BonusOutcome:
    """Validation NDCG@20 of a student whose cold items are placed with one bonus.

    Each user's examples are ranked with a fit on other users.

    Attributes:
        bonus: mean amount that is added to the scores of cold items; None if they are not placed.
        all_targets: NDCG@20 over all examples.
        warm_targets: that over those whose next item training read or predicted; 0 without any.
    """

    bonus: float | None
    all_targets: float
    warm_targets: float


@dataclass(frozen=True)
class Placement:
    """How cold items were placed, and what users who did not teach it say of it.

    Attributes:
        bonus: mean amount that is added to the scores of cold items.
        held_out: ranks of all validation examples, each user's with a fit on other users. The
            placed student has learned from all of them, so its own ranks would flatter it.
    """

    bonus: float
    held_out: Evaluation


def stamp_parts(settings: DistillationConfig) -> list[object]:
    """Returns what placing cold items adds to the stamp (hash) of a training run, if it is on."""
    return ["cold items", COLD_VERSION] if settings.cold_bonus else []


def unread_settings(settings: DistillationConfig) -> set[str]:
    """Returns names of settings that have no effect, to leave out of a training run's stamp.

    They are those of placing cold items if `settings.cold_bonus` is off; otherwise there are none.
    """
    of_placing = {"cold_price", "cold_steps", "cold_offset_rate", "cold_projection_rate"}
    return set() if settings.cold_bonus else of_placing


def place_after_training(trainer: Trainer, settings: DistillationConfig) -> float | None:
    """Gives vectors to the cold items of the student of `trainer`, with the best bonus.

    The student with these vectors becomes the best one of `trainer.progress`, with the metrics of
    `Placement.held_out`, since students are chosen by them. The time that this takes is added to
    `trainer.progress.seconds`. Does nothing if training read or predicted every item.

    Args:
        trainer: a trainer after its last epoch.
        settings: have the price, the share of the NDCG@20 of warm next items that may be lost.

    Returns:
        The chosen bonus; None if no cold items were placed.
    """
    untouched = untouched_items(trainer.dataset, trainer.windows)
    if not untouched.any():
        return None
    began = time.perf_counter()
    shown = trainer.processes.rank == 0
    placed = place_cold_items(trainer.student, trainer.dataset, untouched, settings, shown=shown)
    if placed is not None:
        is_measured = np.isin(placed.held_out.rows, trainer.validation_rows)
        trainer.progress.keep(trainer.student, _part_of(placed.held_out, is_measured).metrics)
    trainer.progress.seconds += time.perf_counter() - began
    return placed.bonus if placed is not None else None


def place_cold_items(
    student: Student,
    dataset: Dataset,
    untouched: Tensor,
    settings: DistillationConfig,
    *,
    shown: bool = True,
) -> Placement | None:
    """Gives vectors to the `untouched` items, with the best bonus that the price allows.

    One fit is made on each half of the validation users. To measure a bonus, the examples of each
    half are ranked with the fit on the other half. The vectors are then made with the mean of the
    two fits, for which no examples are left to measure NDCG@20.

    Args:
        student: a trained student with LLM embeddings; the vectors of its cold items are replaced,
            unless None is returned.
        dataset: the dataset on whose validation examples the fits and the choice are made.
        untouched: mask `[items]` of the items that training neither read nor predicted.
        settings: have the price, the share of NDCG@20 of warm next items to lose, and the fit's.
        shown: whether to show a progress bar.

    Returns:
        The chosen bonus and its ranks. None if no cold items were placed: no allowed bonus improves
        NDCG@20, validation has only one user, or the NDCG@20 of warm next items is 0.
    """
    halves = two_halves(dataset)
    if not all(len(half) for half in halves):
        return None
    table, donors = student.item_table, donors_for(untouched, dataset)
    offsets_before = table.offsets.detach().clone()
    unplaced = [_evaluated(student, dataset, half) for half in halves]
    before = pooled_outcome(None, unplaced, dataset, untouched)
    fits = [centred_fit(student, dataset, half, untouched, donors, settings) for half in halves]
    num_bonuses = len(COARSE_BONUSES) + len(FINE_STEPS)
    with ProgressBar("placing cold items", num_bonuses, "bonus", shown=shown) as bar:

        def try_bonus(bonus: float) -> BonusOutcome:
            tried = _held_out_with(student, dataset, untouched, fits, bonus)
            bar.advance()
            return pooled_outcome(bonus, tried, dataset, untouched)

        bonus = chosen_bonus(before, try_bonus, settings.cold_price)
    if bonus is None:
        table.remove_cold_items(offsets_before)
        return None
    held_out = _held_out_with(student, dataset, untouched, fits, bonus)
    table.place_cold_items(untouched, donors, *mean_with(fits, bonus))
    return Placement(bonus, pooled(held_out))


def untouched_items(dataset: Dataset, windows: TrainingWindows) -> Tensor:
    """Returns a mask `[items]` of the items that training on `windows` neither reads nor predicts.

    `dataset` is the dataset that the windows are cut from.
    """
    touched = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    touched[dataset.item_indices[windows.rows[windows.read]]] = True
    touched[dataset.item_indices[windows.rows[windows.predicted]]] = True
    return torch.from_numpy(~touched[1:])


def current_items(dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the items that were in demand just before validation.

    The last `LAST_ROWS` rows of each user before the user's first validation example are counted.
    An item is in demand if it occurs at least `MIN_HOLDERS` times in these rows of all users.
    """
    return in_demand_before(first_examples(dataset, Split.VALIDATION), dataset)


def first_examples(dataset: Dataset, split: Split) -> Rows:
    """Returns the dataset row of each user's first example in `split`, `[users]`.

    Users without an example in `split` are left out. All examples count, also where `split` has
    more than rankers are measured on.
    """
    rows = dataset.all_example_rows(split)
    first: Rows = rows[np.unique(dataset.user_of_row[rows], return_index=True)[1]]
    return first


def in_demand_before(ends: Rows, dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the items that were in demand before the rows `ends`.

    The last `LAST_ROWS` rows of each user before `ends` are counted, if they are TRAIN or HISTORY
    rows. An item is in demand if it occurs at least `MIN_HOLDERS` times in these rows of all users.

    Args:
        ends: `[users]`, dataset row after the last counted row of each user.
        dataset: the dataset.
    """
    back = np.arange(1, LAST_ROWS + 1)
    num_before = dataset.position_of_row[ends - 1] + 1
    last = (ends[:, None] - back)[num_before[:, None] >= back]
    taken = last[np.isin(dataset.splits[last], (Split.TRAIN, Split.HISTORY))]
    holders = np.bincount(dataset.item_indices[taken], minlength=dataset.catalog.num_rows)
    return torch.from_numpy(holders[1:] >= MIN_HOLDERS)


def donors_for(untouched: Tensor, dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the donors: items in demand that training read or predicted.

    `current_items` defines demand. If there are fewer than `NUM_NEIGHBOURS` such items, all items
    outside the mask `untouched` are donors.
    """
    return donors_among(current_items(dataset), untouched)


def donors_among(current: Tensor, untouched: Tensor) -> Tensor:
    """Returns a mask `[items]` of the donors: items in `current` that are not in `untouched`.

    If there are fewer than `NUM_NEIGHBOURS` such items, all items outside `untouched` are donors.

    Args:
        current: mask `[items]` of the items in demand, see `current_items`.
        untouched: mask `[items]` of the items that training neither read nor predicted.
    """
    untouched = untouched.cpu()
    donors = current & ~untouched
    return donors if donors.sum() >= NUM_NEIGHBOURS else ~untouched


def chosen_bonus(
    before: BonusOutcome, try_bonus: Callable[[float], BonusOutcome], price: float
) -> float | None:
    """Chooses the bonus with the best NDCG@20 among those that the price allows.

    The `COARSE_BONUSES` are tried first, then the best of them plus each of the `FINE_STEPS`.

    Args:
        before: the outcome without placed cold items.
        try_bonus: places cold items with a bonus and evaluates the student.
        price: share of the NDCG@20 of warm next items that may be lost.

    Returns:
        The bonus; None if no allowed coarse bonus has a better NDCG@20 than `before`.
    """
    outcomes = [before, *map(try_bonus, COARSE_BONUSES)]
    coarse = best_bonus(outcomes, price)
    if coarse is None:
        return None
    return best_bonus([*outcomes, *(try_bonus(coarse + step) for step in FINE_STEPS)], price)


def best_bonus(outcomes: Sequence[BonusOutcome], price: float) -> float | None:
    """Returns the bonus with the best NDCG@20 among those that the price allows.

    Args:
        outcomes: outcomes to compare. The first is that without placed cold items.
        price: share of `outcomes[0].warm_targets` that may be lost.

    Returns:
        The bonus; the earliest of several equally good ones. None if no bonus has a better NDCG@20
        than `outcomes[0]`, or if `outcomes[0].warm_targets` is 0.
    """
    if outcomes[0].warm_targets == 0:
        return None  # an NDCG@20 of 0 cannot fall, so the price would allow every bonus
    least = (1 - price) * outcomes[0].warm_targets
    affordable = (outcome for outcome in outcomes if outcome.warm_targets >= least)
    return max(affordable, key=lambda outcome: outcome.all_targets).bonus


def _held_out_with(
    student: Student,
    dataset: Dataset,
    untouched: Tensor,
    fits: Sequence[ColdFit],
    bonus: float,
) -> list[Evaluation]:
    """Ranks each half of the validation examples with `bonus` and the fit on the other half.

    `fits` has one fit for each of `two_halves`, in the same order. The cold items of `student` are
    left with the vectors of the last fit.
    """
    table, donors = student.item_table, donors_for(untouched, dataset)
    evaluations = []
    for fit, other_half in zip(fits, reversed(two_halves(dataset)), strict=True):
        table.place_cold_items(untouched, donors, fit.offset_with(bonus), fit.projection)
        evaluations.append(_evaluated(student, dataset, other_half))
    return evaluations


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Returns one evaluation of several with disjoint examples, in their order."""
    rows = np.concatenate([each.rows for each in evaluations])
    return Evaluation(rows, np.concatenate([each.ranks for each in evaluations]))


def pooled_outcome(
    bonus: float | None, evaluations: Sequence[Evaluation], dataset: Dataset, untouched: Tensor
) -> BonusOutcome:
    """Computes the outcome of `bonus` over the examples of several evaluations together.

    `untouched` is a mask `[items]` of the items that training neither read nor predicted.
    """
    every = pooled(evaluations)
    is_warm = ~untouched.cpu().numpy()[dataset.item_indices[every.rows] - 1]
    warm = _part_of(every, is_warm).metrics if is_warm.any() else {}
    return BonusOutcome(bonus, every.metrics[SELECTION_METRIC], warm.get(SELECTION_METRIC, 0.0))


def two_halves(dataset: Dataset) -> tuple[Rows, Rows]:
    """Splits the validation examples into two halves by user; returns dataset rows of each half.

    The first validation user belongs to the first half, the next one to the second, and so on.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    users = np.unique(dataset.user_of_row[rows], return_inverse=True)[1]
    return rows[users % 2 == 0], rows[users % 2 == 1]


def _part_of(evaluation: Evaluation, mask: NDArray[np.bool_]) -> Evaluation:
    return Evaluation(evaluation.rows[mask], evaluation.ranks[mask])


def _evaluated(student: Student, dataset: Dataset, rows: Rows) -> Evaluation:
    return evaluate(ranker_of(StudentScorer(student, dataset), dataset), dataset, rows)
