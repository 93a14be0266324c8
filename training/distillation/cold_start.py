"""Cold start: the one step after training, which places the items that training never touched.

The title of such an item does not lift its score to where trained items compete, so without this
step it is hardly ever recommended. `students/cold_items.py` has the formula of its vector. Its
parts come from here:

- Donors are items still in demand when training ended. New items will be wanted by today's users;
  the offset of an old item describes users who left.
- A common offset and a second projection of titles are fitted on validation, with the student
  frozen: a title says other things of a new item than of an old one. Cold items have both where
  histories are read, too, so a history that holds some of them asks for more of them.
- A bonus, the mean that all of it adds to scores of cold items, is searched for. It may cost a
  given share of warm NDCG@20 (`distillation.cold_price`).

The price is measured on users who were not fitted on: half of validation's users fit, the other
half judges, and the other way round. The mean of both fits is placed.

The fit trusts the catalog. If items are listed only because somebody takes them later, as in
benchmark data, every cold item looks promising.
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

COLD_VERSION = 5  # raise it when the same settings would place cold items otherwise

# Bonuses to try: first these, then steps around the best of them, since halves seldom use the
# whole price.
COARSE_BONUSES = tuple(number / 2 for number in range(-4, 5))
FINE_STEPS = tuple(number / 16 for number in range(-7, 8) if number)
LAST_ROWS, MIN_HOLDERS = 2, 2


@dataclass(frozen=True)
class BonusOutcome:
    """NDCG@20 on examples that the placed cold items were not fitted on.

    Attributes:
        bonus: mean that is added to scores of cold items; None where they are not placed.
        all_targets: NDCG@20 of all targets.
        warm_targets: NDCG@20 of warm targets.
    """

    bonus: float | None
    all_targets: float
    warm_targets: float


def stamp_parts(settings: DistillationConfig) -> list[object]:
    """Parts of a run's stamp that this step adds if it is on."""
    return ["cold items", COLD_VERSION] if settings.cold_bonus else []


def unread_settings(settings: DistillationConfig) -> set[str]:
    """Settings of this step that do not enter a run's stamp, since the step is off."""
    return set() if settings.cold_bonus else {"cold_price"}


def place_after_training(trainer: Trainer, price: float) -> float | None:
    """Places the cold items of a trained student; the placed student becomes the one to keep.

    Adds the time that it takes to `trainer.progress`. Nothing happens if training touched every
    item.

    Returns:
        The chosen bonus, see `place_cold_items`.
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
    """Places `untouched` items with the best bonus that costs no more than `price`.

    The price holds for the two fits, each judged on the other half; no example is left to judge
    their mean, which is placed.

    Args:
        student: trained, with LLM embeddings.
        dataset: its validation examples are fitted on and choose the bonus.
        untouched: `[items]`, see `untouched_items`.
        price: share of warm NDCG@20 that may be lost.
        shown: whether a progress bar shows the bonuses tried.

    Returns:
        The chosen bonus. None if no bonus beats leaving cold items as they are, or if validation
        cannot tell: it has one user, or ranks no warm target among the top 20.
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
    """`[items]`, whether training neither reads nor predicts an item."""
    touched = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    touched[dataset.item_indices[windows.readable]] = True
    touched[dataset.item_indices[windows.predicted]] = True
    return torch.from_numpy(~touched[1:])


def current_items(dataset: Dataset) -> Tensor:
    """`[items]`, whether at least `MIN_HOLDERS` of the last rows before validation hold an item.

    The last `LAST_ROWS` rows of each user before that user's first validation example count.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    firsts = rows[np.unique(dataset.user_of_row[rows], return_index=True)[1]]
    back = np.arange(1, LAST_ROWS + 1)
    last = (firsts[:, None] - back)[dataset.position_of_row[firsts][:, None] >= back]
    taken = last[np.isin(dataset.splits[last], (Split.TRAIN, Split.HISTORY))]
    holders = np.bincount(dataset.item_indices[taken], minlength=dataset.catalog.num_rows)
    return torch.from_numpy(holders[1:] >= MIN_HOLDERS)


def donors_for(untouched: Tensor, dataset: Dataset) -> Tensor:
    """`[items]`, the touched and current items; all touched ones if those are too few."""
    untouched = untouched.cpu()
    donors = current_items(dataset) & ~untouched
    return donors if donors.sum() >= NUM_NEIGHBOURS else ~untouched


def chosen_bonus(
    before: BonusOutcome, try_bonus: Callable[[float], BonusOutcome], price: float
) -> float | None:
    """The best of `COARSE_BONUSES` and of the `FINE_STEPS` around it.

    None if no coarse bonus beats `before`.
    """
    outcomes = [before, *map(try_bonus, COARSE_BONUSES)]
    coarse = best_bonus(outcomes, price)
    if coarse is None:
        return None
    return best_bonus([*outcomes, *(try_bonus(coarse + step) for step in FINE_STEPS)], price)


def best_bonus(outcomes: Sequence[BonusOutcome], price: float) -> float | None:
    """The bonus with the best NDCG@20 of those within the price; the earliest of equals.

    `outcomes[0]` is the student without placed cold items; its warm NDCG@20 sets the price.
    """
    if outcomes[0].warm_targets == 0:
        return None  # a loss of warm NDCG@20 cannot be measured
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
    """Evaluates `student` on each half, with cold items placed by the other half's fit."""
    table, donors = student.item_table, donors_for(untouched, dataset)
    evaluations = []
    for fit, judges in zip(fits, reversed(two_halves(dataset)), strict=True):
        table.place_cold_items(untouched, donors, fit.offset_with(bonus), fit.projection)
        evaluations.append(_evaluated(student, dataset, judges))
    return pooled_outcome(bonus, evaluations, dataset, untouched)


def pooled_outcome(
    bonus: float | None, evaluations: Sequence[Evaluation], dataset: Dataset, untouched: Tensor
) -> BonusOutcome:
    """One outcome from evaluations of disjoint examples."""
    rows = np.concatenate([each.rows for each in evaluations])
    ranks = np.concatenate([each.ranks for each in evaluations])
    is_warm = ~untouched.cpu().numpy()[dataset.item_indices[rows] - 1]
    warm = Evaluation(rows[is_warm], ranks[is_warm]).metrics if is_warm.any() else {}
    every = Evaluation(rows, ranks).metrics
    return BonusOutcome(bonus, every[SELECTION_METRIC], warm.get(SELECTION_METRIC, 0.0))


def two_halves(dataset: Dataset) -> tuple[Rows, Rows]:
    """Validation examples of every other user, and those of the remaining users."""
    rows = dataset.example_rows(Split.VALIDATION)
    users = np.unique(dataset.user_of_row[rows], return_inverse=True)[1]
    return rows[users % 2 == 0], rows[users % 2 == 1]


def _evaluated(student: Student, dataset: Dataset, rows: Rows) -> Evaluation:
    return evaluate(ranker_of(StudentScorer(student, dataset), dataset), dataset, rows)
