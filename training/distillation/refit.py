"""Refits: students trained again, also on held-out rows, with the settings that validation chose.

A refit has the settings, the seed and the number of epochs of its validation run. Its dataset is a
view (`Dataset.under`) without validation examples. Rows that were validation examples are training
rows in it, but have no ranking lists: the teacher's answers to them are for evaluation only.

The parameters of cold items are not fitted again, since no examples are left for that. The refit
takes them from the validation run (`after_training/cold_fit.py`): the projection `C` from a title
to the vector of a cold item, the offset `u` that all cold items share, and the cold bonus. The
students of validation run and refit are trained independently, so their vector spaces differ.
Therefore `C` and `u` are rotated, by the rotation that best maps the item vectors of one student to
those of the other. Then `u` is changed so that the mean score of cold items rises by the bonus.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.data.dataset import LEARNT, Dataset, Protocol, Split
from training.distillation.after_training import pair_fit
from training.distillation.after_training.cold_fit import (
    ColdFit,
    Rows,
    common_direction,
    place_by_donors,
)
from training.distillation.after_training.cold_start import (
    donors_among,
    first_examples,
    in_demand_before,
    untouched_items,
)
from training.distillation.after_training.pair_fit import PairSettings
from training.distillation.batches import TrainingWindows
from training.distillation.checkpoint import load_checkpoint
from training.distillation.trainer import Trainer
from training.students.item_table import ItemTable

# Increment when a code change trains another student in a refit with unchanged settings.
REFIT_VERSION = 1


@dataclass(frozen=True)
class Refit:
    """The settings of a refit: its protocol, and what it takes from its validation run.

    Attributes:
        protocol: the rows to train on, "refit" or "refit-all".
        dataset: the dataset of the validation run.
        epochs: number of epochs to train; the number of the validation run's best epoch.
        cold_bonus: mean amount that is added to the scores of cold items; None if they are not
            placed.
        source: folder of the validation run's checkpoint, from which the learned parameters for
            cold items are taken; required with a cold bonus.
        pairs: settings of the pair bonus; None if the validation run has none.
    """

    protocol: Protocol
    dataset: Dataset
    epochs: int
    cold_bonus: float | None = None
    source: Path | None = None
    pairs: PairSettings | None = None

    def stamp_parts(self, *, places_cold: bool, has_pairs: bool) -> list[object]:
        """Returns the values that a refit adds to a job's stamp (its hash).

        The cold bonus is included if `places_cold` is true, and the settings of the pair bonus if
        `has_pairs` is true. The protocol is left out: every stamp
        contains the fingerprint of the view, which depends on the protocol.
        """
        cold_parts = [self.cold_bonus] if places_cold else []
        pair_parts = [self.pairs and asdict(self.pairs)] if has_pairs else []
        return ["refit", REFIT_VERSION, self.epochs, *cold_parts, *pair_parts]

    def place_after_training(self, trainer: Trainer) -> float | None:
        """Places the cold items of the trainer's student with the validation run's fit and bonus.

        The student with placed cold items replaces the best one of `trainer.progress`.

        Args:
            trainer: the trainer of the refit, after its last epoch.

        Returns:
            The bonus. None if no cold items were placed: `cold_bonus` is None, or the refit read or
            predicted every item.

        Raises:
            CheckpointError: the checkpoint of the validation run is missing or damaged.
            ValueError: there is a bonus, but `source` is None or the cold items of the student in
                `source` are not placed.
        """
        untouched = untouched_items(trainer.dataset, trainer.windows)
        if self.cold_bonus is None or not untouched.any():
            return None
        began = time.perf_counter()
        self._place(trainer, untouched, self.cold_bonus)
        trainer.progress.keep(trainer.student, {})
        trainer.progress.seconds += time.perf_counter() - began
        return self.cold_bonus

    def add_pairs_after_training(self, trainer: Trainer) -> PairSettings | None:
        """Gives the trainer's student a pair bonus with the settings of the validation run.

        Returns the settings; None if the validation run has no pair bonus.
        """
        if self.pairs is not None:
            pair_fit.add_with(self.pairs, trainer)
        return self.pairs

    @torch.no_grad()
    def _place(self, trainer: Trainer, untouched: Tensor, bonus: float) -> None:
        student, table = trainer.student, trainer.student.item_table
        donors = donors_among(self.current_items(trainer.dataset), untouched)
        query_vectors = place_by_donors(
            student, trainer.dataset, self._newest_learnt(), untouched, donors
        )
        carried = self._rotated(trainer, common_direction(query_vectors))
        fit = carried.centred(query_vectors, table.columns_of(untouched))
        table.place_cold_items(untouched, donors, fit.offset_with(bonus), fit.projection)

    def current_items(self, view: Dataset) -> Tensor:
        """Returns a mask `[items]` of the items in demand at the end of the refit's training rows.

        `in_demand_before` defines demand. If test rows are held out, the last rows before each
        user's first test example are counted. If the refit is trained on test rows, the last rows
        of the users who have test examples are counted.
        """
        if Split.TEST not in LEARNT[self.protocol]:
            return in_demand_before(first_examples(view, Split.TEST), view)
        rows = self.dataset.all_example_rows(LEARNT[self.protocol][-1])
        users = np.unique(self.dataset.user_of_row[rows])
        return in_demand_before(view.user_offsets[users + 1], view)

    def _newest_learnt(self) -> Rows:
        return self.dataset.example_rows(LEARNT[self.protocol][-1])

    def _rotated(self, trainer: Trainer, direction: Tensor) -> ColdFit:
        """Returns the validation run's fit of cold items, rotated to the refitted student's space.

        The refitted student is that of `trainer`. `direction` is put
        into the result as it is, without rotation.

        Raises:
            CheckpointError: the checkpoint of the validation run is missing or damaged.
            ValueError: `source` is None, or the cold items of the student in `source` are not
                placed.
        """
        if self.source is None:
            raise ValueError("a refit with a cold bonus needs the checkpoint of its validation run")
        source = load_checkpoint(self.source).student().item_table.to(direction.device)
        if source.cold_items.projection is None:
            raise ValueError(f"{self.source}: its cold items are not placed")
        turn = rotation(source, trainer.student.item_table, self._touched_before(trainer))
        offset, projection = source.cold_items.offset, source.cold_items.projection
        return ColdFit(turn @ projection, turn @ offset, direction)

    def _touched_before(self, trainer: Trainer) -> Tensor:
        """Returns a mask `[items]` of the items that the validation run read or predicted.

        `trainer` is that of the refit, whose windows have the sizes of the validation run's.
        """
        windows = TrainingWindows(self.dataset, trainer.windows.length, trainer.windows.batch_size)
        return ~untouched_items(self.dataset, windows)


def rotation(before: ItemTable, after: ItemTable, items: Tensor) -> Tensor:
    """Returns the matrix `[hidden, hidden]` that best maps item vectors of `before` to `after`.

    A vector `v` of `before` is mapped to `rotation @ v`. The matrix is orthogonal and minimises the
    sum of squared distances between mapped vectors and vectors of `after` (orthogonal Procrustes
    problem). The sum is over the items in the mask `items`, which has no entry for padding.
    """
    selected = items.to(before.padding.device)
    old, new = (table.eval()()[1:][selected].double() for table in (before, after))
    left, _, right = torch.linalg.svd(new.T @ old)
    turn: Tensor = (left @ right).float()
    return turn
