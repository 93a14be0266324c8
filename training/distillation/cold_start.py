"""Cold start: the step after training that gives cold items their vectors.

With its title only, a cold item scores far below trained items, so without this step it is hardly
ever recommended. `students/cold_items.py` has the formula of its vector. This module chooses the
parts of that formula:

- Donors are the trained items that were still in demand when training ended, so their offsets
  describe the users of today. The offset of an old item describes users who have left.
- A common offset and a second projection of titles are fitted on validation examples. The second
  projection is needed since a title predicts the demand for a new item differently than for an old
  one. The student reads these vectors, too: after a history with cold items, it ranks cold items
  higher.
- A bonus is chosen: the amount that offset and second projection add to the scores of cold items on
  average. It may cost a given share of the NDCG@20 of warm next items, the price
  (`distillation.cold_price`).

The price is measured on users who are not in the fit. The users of validation are divided into two
halves. A fit on each half is evaluated on the other half, and the mean of both fits is placed.

The fit assumes that users can choose every item of the catalog. Benchmark data list an item only
because a user chooses it later, so there every cold item looks promising.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.distillation.batches import TrainingWindows
from training.distillation.cold_fit import ColdFit, Rows, centred_fit
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

    It is measured on users whose examples the placement was not fitted on.

    Attributes:
        bonus: mean amount that is added to the scores of cold items; None: they are not placed.
        all_targets: NDCG@20 over all examples.
        warm_targets: NDCG@20 over the examples whose next item training read or predicted; 0 if
            there are none.
    """

    bonus: float | None
    all_targets: float
    warm_targets: float


def stamp_parts(settings: DistillationConfig) -> list[object]:
    """Returns the parts of a training run's stamp that stand for the placing of cold items.

    The list is empty if `settings.cold_bonus` is off.
    """
    return ["cold items", COLD_VERSION] if settings.cold_bonus else []


def unread_settings(settings: DistillationConfig) -> set[str]:
    """Returns the names of settings that a training run's stamp must leave out.

    That is `cold_price` if `settings.cold_bonus` is off, since the price then has no effect.
    """
    return set() if settings.cold_bonus else {"cold_price"}


def place_after_training(trainer: Trainer, price: float) -> float | None:
    """Places the cold items of the student that `trainer` has trained, with the best bonus.

    The student with placed cold items becomes the best one of `trainer.progress`, and the time that
    placing takes is added to its seconds. Does nothing if training touched every item.

    Args:
        trainer: a trainer after its last epoch.
        price: share of the NDCG@20 of warm next items that may be lost.

    Returns:
        The chosen bonus; None if no cold items were placed.
    """
    untouched = untouched_items(trainer.dataset, trainer.windows)
    if not untouched.any():
        return None
    began = time.perf_counter()
    shown = trainer.processes.rank == 0
    bonus = place_cold_items(trainer.student, trainer.dataset, untouched, price, shown=shown)
    trainer.progress.keep(trainer.student, trainer.validate())
    trainer.progress.seconds += time.perf_counter() - began
    return bonus


def place_cold_items(
    student: Student, dataset: Dataset, untouched: Tensor, price: float, *, shown: bool = True
) -> float | None:
    """Places the `untouched` items with the best bonus that costs no more than `price`.

    Two fits are made, one on each half of the validation users. A bonus is tried with each fit on
    the other half. The mean of the two fits is placed. Its own price is not checked, since no
    example is left for that.

    Args:
        student: a trained student with LLM embeddings; it is changed.
        dataset: the dataset whose validation examples fit the parameters and choose the bonus.
        untouched: `[items]`, whether training neither read nor predicted an item.
        price: share of the NDCG@20 of warm next items that may be lost.
        shown: whether to show a progress bar.

    Returns:
        The chosen bonus; None if no cold items were placed. That happens if no affordable bonus
        improves NDCG@20, if validation has only one user, or if its warm NDCG@20 is 0.
    """
    halves = two_halves(dataset)
    if not all(len(half) for half in halves):
        return None
    table, donors = student.item_table, donors_for(untouched, dataset)
    offsets_before = table.offsets.detach().clone()
    unplaced = [_evaluated(student, dataset, half) for half in halves]
    before = pooled_outcome(None, unplaced, dataset, untouched)
    fits = [centred_fit(student, dataset, half, untouched, donors) for half in halves]
    num_bonuses = len(COARSE_BONUSES) + len(FINE_STEPS)
    with ProgressBar("placing cold items", num_bonuses, "bonus", shown=shown) as bar:

        def try_bonus(bonus: float) -> BonusOutcome:
            tried = _outcome_with(student, dataset, untouched, fits, bonus)
            bar.advance()
            return tried

        bonus = chosen_bonus(before, try_bonus, price)
    if bonus is None:
        table.remove_cold_items(offsets_before)
        return None
    offset = torch.stack([fit.offset_with(bonus) for fit in fits]).mean(dim=0)
    projection = torch.stack([fit.projection for fit in fits]).mean(dim=0)
    table.place_cold_items(untouched, donors, offset, projection)
    return bonus


def untouched_items(dataset: Dataset, windows: TrainingWindows) -> Tensor:
    """Returns a mask `[items]` of the items that training neither reads nor predicts."""
    touched = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    touched[dataset.item_indices[windows.rows[windows.read]]] = True
    touched[dataset.item_indices[windows.rows[windows.predicted]]] = True
    return torch.from_numpy(~touched[1:])


def current_items(dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the items that were in demand just before validation.

    An item is in demand if it occurs at least `MIN_HOLDERS` times in the last rows of users. These
    are the last `LAST_ROWS` rows of each user before the first validation example of that user.
    """
    return in_demand_before(first_examples(dataset, Split.VALIDATION), dataset)


def first_examples(dataset: Dataset, split: Split) -> Rows:
    """Returns the dataset row of each user's first example in `split`, `[users]`.

    Users without an example in `split` are left out.
    """
    rows = dataset.example_rows(split)
    first: Rows = rows[np.unique(dataset.user_of_row[rows], return_index=True)[1]]
    return first


def in_demand_before(ends: Rows, dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the items that were in demand before the rows `ends`.

    An item is in demand if it occurs at least `MIN_HOLDERS` times in the last `LAST_ROWS` rows of
    each user before the row in `ends`. Only TRAIN and HISTORY rows count.

    Args:
        ends: `[users]`, for each user, the dataset row after the last one that counts.
        dataset: the dataset.
    """
    back = np.arange(1, LAST_ROWS + 1)
    num_before = dataset.position_of_row[ends - 1] + 1
    last = (ends[:, None] - back)[num_before[:, None] >= back]
    taken = last[np.isin(dataset.splits[last], (Split.TRAIN, Split.HISTORY))]
    holders = np.bincount(dataset.item_indices[taken], minlength=dataset.catalog.num_rows)
    return torch.from_numpy(holders[1:] >= MIN_HOLDERS)


def donors_for(untouched: Tensor, dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the donors.

    Donors are the items of `current_items` that training touched. If these are fewer than
    `NUM_NEIGHBOURS`, all touched items are donors.
    """
    return donors_among(current_items(dataset), untouched)


def donors_among(current: Tensor, untouched: Tensor) -> Tensor:
    """Returns a mask `[items]` of the donors: the items in demand that training touched.

    If these are fewer than `NUM_NEIGHBOURS`, all touched items are donors.

    Args:
        current: `[items]`, whether an item is in demand.
        untouched: `[items]`, whether training neither read nor predicted an item.
    """
    untouched = untouched.cpu()
    donors = current & ~untouched
    return donors if donors.sum() >= NUM_NEIGHBOURS else ~untouched


def chosen_bonus(
    before: BonusOutcome, try_bonus: Callable[[float], BonusOutcome], price: float
) -> float | None:
    """Chooses the bonus with the best NDCG@20 among those that cost no more than `price`.

    The `COARSE_BONUSES` are tried first, then the best of them plus each of the `FINE_STEPS`.

    Args:
        before: the outcome without placed cold items.
        try_bonus: places cold items with a bonus and evaluates the student.
        price: share of the NDCG@20 of warm next items that may be lost.

    Returns:
        The bonus; None if no affordable coarse bonus beats `before`.
    """
    outcomes = [before, *map(try_bonus, COARSE_BONUSES)]
    coarse = best_bonus(outcomes, price)
    if coarse is None:
        return None
    return best_bonus([*outcomes, *(try_bonus(coarse + step) for step in FINE_STEPS)], price)


def best_bonus(outcomes: Sequence[BonusOutcome], price: float) -> float | None:
    """Returns the bonus with the best NDCG@20 among those that cost no more than `price`.

    Args:
        outcomes: outcomes to compare. The first is the student without placed cold items.
        price: share of the warm NDCG@20 of `outcomes[0]` that may be lost.

    Returns:
        The bonus, of equals the earliest. None if none beats `outcomes[0]`, or if the warm NDCG@20
        of `outcomes[0]` is 0.
    """
    if outcomes[0].warm_targets == 0:
        return None  # a share of 0 cannot be lost, so the price cannot be checked
    least = (1 - price) * outcomes[0].warm_targets
    affordable = (outcome for outcome in outcomes if outcome.warm_targets >= least)
    return max(affordable, key=lambda outcome: outcome.all_targets).bonus


def _outcome_with(
    student: Student,
    dataset: Dataset,
    untouched: Tensor,
    fits: Sequence[ColdFit],
    bonus: float,
) -> BonusOutcome:
    """Evaluates `bonus` on all validation users: on each half, with the fit on the other half.

    `fits` are in the order of `two_halves`. `student` is changed.
    """
    table, donors = student.item_table, donors_for(untouched, dataset)
    evaluations = []
    for fit, other_half in zip(fits, reversed(two_halves(dataset)), strict=True):
        table.place_cold_items(untouched, donors, fit.offset_with(bonus), fit.projection)
        evaluations.append(_evaluated(student, dataset, other_half))
    return pooled_outcome(bonus, evaluations, dataset, untouched)


def pooled_outcome(
    bonus: float | None, evaluations: Sequence[Evaluation], dataset: Dataset, untouched: Tensor
) -> BonusOutcome:
    """Computes the `BonusOutcome` of `bonus` over the examples of several evaluations together.

    The evaluations must have disjoint examples. `untouched` is a mask `[items]` of the items that
    training neither read nor predicted.
    """
    rows = np.concatenate([each.rows for each in evaluations])
    ranks = np.concatenate([each.ranks for each in evaluations])
    is_warm = ~untouched.cpu().numpy()[dataset.item_indices[rows] - 1]
    warm = Evaluation(rows[is_warm], ranks[is_warm]).metrics if is_warm.any() else {}
    every = Evaluation(rows, ranks).metrics
    return BonusOutcome(bonus, every[SELECTION_METRIC], warm.get(SELECTION_METRIC, 0.0))


def two_halves(dataset: Dataset) -> tuple[Rows, Rows]:
    """Splits the validation examples by user into two halves; returns their dataset rows.

    Users are assigned to the two halves alternately.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    users = np.unique(dataset.user_of_row[rows], return_inverse=True)[1]
    return rows[users % 2 == 0], rows[users % 2 == 1]


def _evaluated(student: Student, dataset: Dataset, rows: Rows) -> Evaluation:
    return evaluate(ranker_of(StudentScorer(student, dataset), dataset), dataset, rows)
