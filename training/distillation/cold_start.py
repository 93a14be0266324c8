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
- A bonus is chosen: the mean that all this adds to the scores of cold items. It may cost a given
  share of the NDCG@20 of warm next items, the price (`distillation.cold_price`).

The price is measured on users who were not fitted on. The users of validation are divided into two
halves, a fit on each half is evaluated on the other half, and the mean of both fits is placed.

The fit takes every item of the catalog as offered to users. In benchmark data an item is listed
only because somebody takes it later, so there every cold item looks promising.
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
    """NDCG@20 with one bonus, on examples that the placed cold items were not fitted on.

    Attributes:
        bonus: mean that is added to scores of cold items; None if they are not placed.
        all_targets: NDCG@20 over all examples.
        warm_targets: NDCG@20 over the examples whose next item is warm; 0 if there are none.
    """

    bonus: float | None
    all_targets: float
    warm_targets: float


def stamp_parts(settings: DistillationConfig) -> list[object]:
    """Returns what this step adds to the stamp of a training run; nothing if it is off."""
    return ["cold items", COLD_VERSION] if settings.cold_bonus else []


def unread_settings(settings: DistillationConfig) -> set[str]:
    """Returns names of settings to leave out of a run's stamp, since this step is off."""
    return set() if settings.cold_bonus else {"cold_price"}


def place_after_training(trainer: Trainer, price: float) -> float | None:
    """Places the cold items of a trained student.

    The student with placed cold items becomes the best one of `trainer.progress`, and the seconds
    that this takes are added there. Does nothing if training touched every item.

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

    The price is checked for the two fits, each on the half of users that it was not fitted on. It
    is not checked for their mean, which is placed, since no example is left for that.

    Args:
        student: a trained student with LLM embeddings; it is changed.
        dataset: the dataset whose validation examples fit the parameters and choose the bonus.
        untouched: `[items]`, whether training neither read nor predicted an item.
        price: share of the NDCG@20 of warm next items that may be lost.
        shown: whether to show a progress bar.

    Returns:
        The chosen bonus; None if no cold items were placed. That happens if no bonus improves
        NDCG@20, if validation has only one user, or if its warm NDCG@20 is 0.
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

    An item is current if it occurs at least `MIN_HOLDERS` times in the last rows of users. These
    are the last `LAST_ROWS` rows of each user before the first validation example of that user.
    """
    return in_demand_before(first_examples(dataset, Split.VALIDATION), dataset)


def first_examples(dataset: Dataset, split: Split) -> Rows:
    """Returns the first example of each user who has examples in `split`, `[users]`."""
    rows = dataset.example_rows(split)
    first: Rows = rows[np.unique(dataset.user_of_row[rows], return_index=True)[1]]
    return first


def in_demand_before(ends: Rows, dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the items that were in demand before `ends`.

    See `current_items`; `ends` are dataset rows, each the end (not included) of a user's rows.
    """
    back = np.arange(1, LAST_ROWS + 1)
    num_before = dataset.position_of_row[ends - 1] + 1
    last = (ends[:, None] - back)[num_before[:, None] >= back]
    taken = last[np.isin(dataset.splits[last], (Split.TRAIN, Split.HISTORY))]
    holders = np.bincount(dataset.item_indices[taken], minlength=dataset.catalog.num_rows)
    return torch.from_numpy(holders[1:] >= MIN_HOLDERS)


def donors_for(untouched: Tensor, dataset: Dataset) -> Tensor:
    """Returns a mask `[items]` of the donors.

    Donors are the current items that training touched. If these are fewer than `NUM_NEIGHBOURS`,
    all touched items are donors.
    """
    return donors_among(current_items(dataset), untouched)


def donors_among(current: Tensor, untouched: Tensor) -> Tensor:
    """Returns the donors, see `donors_for`; `current` and `untouched` are masks `[items]`."""
    untouched = untouched.cpu()
    donors = current & ~untouched
    return donors if donors.sum() >= NUM_NEIGHBOURS else ~untouched


def chosen_bonus(
    before: BonusOutcome, try_bonus: Callable[[float], BonusOutcome], price: float
) -> float | None:
    """Chooses the best of `COARSE_BONUSES` and of the `FINE_STEPS` around it.

    Args:
        before: the outcome without placed cold items.
        try_bonus: places cold items with a bonus and evaluates the student.
        price: share of the NDCG@20 of warm next items that may be lost.

    Returns:
        The bonus; None if no coarse bonus beats `before`.
    """
    outcomes = [before, *map(try_bonus, COARSE_BONUSES)]
    coarse = best_bonus(outcomes, price)
    if coarse is None:
        return None
    return best_bonus([*outcomes, *(try_bonus(coarse + step) for step in FINE_STEPS)], price)


def best_bonus(outcomes: Sequence[BonusOutcome], price: float) -> float | None:
    """Returns the bonus with the best NDCG@20 among those that cost no more than the price.

    Of equals it is the earliest. `outcomes[0]` is the student without placed cold items; the price
    is a share of its warm NDCG@20.
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
    """Evaluates `student` on each half of users, with the fit of the other half and `bonus`."""
    table, donors = student.item_table, donors_for(untouched, dataset)
    evaluations = []
    for fit, other_half in zip(fits, reversed(two_halves(dataset)), strict=True):
        table.place_cold_items(untouched, donors, fit.offset_with(bonus), fit.projection)
        evaluations.append(_evaluated(student, dataset, other_half))
    return pooled_outcome(bonus, evaluations, dataset, untouched)


def pooled_outcome(
    bonus: float | None, evaluations: Sequence[Evaluation], dataset: Dataset, untouched: Tensor
) -> BonusOutcome:
    """Pools `evaluations` of disjoint examples into the outcome of `bonus`."""
    rows = np.concatenate([each.rows for each in evaluations])
    ranks = np.concatenate([each.ranks for each in evaluations])
    is_warm = ~untouched.cpu().numpy()[dataset.item_indices[rows] - 1]
    warm = Evaluation(rows[is_warm], ranks[is_warm]).metrics if is_warm.any() else {}
    every = Evaluation(rows, ranks).metrics
    return BonusOutcome(bonus, every[SELECTION_METRIC], warm.get(SELECTION_METRIC, 0.0))


def two_halves(dataset: Dataset) -> tuple[Rows, Rows]:
    """Divides the validation examples by user: every other user, and the remaining users."""
    rows = dataset.example_rows(Split.VALIDATION)
    users = np.unique(dataset.user_of_row[rows], return_inverse=True)[1]
    return rows[users % 2 == 0], rows[users % 2 == 1]


def _evaluated(student: Student, dataset: Dataset, rows: Rows) -> Evaluation:
    return evaluate(ranker_of(StudentScorer(student, dataset), dataset), dataset, rows)
