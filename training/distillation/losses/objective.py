"""The training objective: a module that contains the student and returns the loss of a batch."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.compute.catalog_softmax import kth_best_scores
from training.compute.device import making_on
from training.distillation.batches import Batch
from training.distillation.losses.candidates import Candidates
from training.distillation.losses.combine import total_loss
from training.distillation.losses.dros import nominal_shares, robust_losses
from training.distillation.losses.next_item import NextItemLoss, full_softmax, score_and_loss
from training.distillation.losses.teacher_lists import RankingLists
from training.distillation.losses.thinned_catalog import ThinnedCatalog
from training.settings.experiment import TrainingConfig
from training.students.student import Student

NUM_PANELS = 3  # number of parts that a batch is split into by length


class _Scored(NamedTuple):
    """The scores of next and listed items in one training step, with all that losses need.

    Attributes:
        queries: `[positions, hidden]`, query vectors.
        table: `[rows, hidden]`, vectors of the items that the loss compares; row 0 is padding.
        items: `[positions, M]`, next and listed items as rows of `table`.
        scores: `[positions, M]`, scores of `items`.
        loss: turns scores into losses.
    """

    queries: Tensor
    table: Tensor
    items: Tensor
    scores: Tensor
    loss: NextItemLoss


class DistillationObjective(nn.Module):
    """Computes the training loss of a batch on one device.

    Without ranking lists, the training loss is the mean loss of the next items. With lists, it is
    the weighted mean of that loss and the loss of the listed items (DLLM2Rec, eq. 11).

    Args:
        student: the student to train; it is moved to `device`.
        config: settings of the losses.
        candidates: the items that the loss compares a next item with.
        lists: the teacher's ranking lists; None trains without them.
        device: device to compute on.
    """

    def __init__(
        self,
        student: Student,
        config: TrainingConfig,
        candidates: Candidates,
        lists: RankingLists | None,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.student = student.to(device)
        self.config = config
        self.candidates = candidates.to(device)
        self.lists = None if lists is None else lists.to(device)
        self.device = device
        self.nominal_shares = nominal_shares(candidates.train_counts).to(device)
        self.thinned = None
        if config.scored_share < 1:
            self.thinned = ThinnedCatalog(self.candidates, config.scored_share)
        self.k = 0 if lists is None else lists.own_list_length
        self.score_and_loss = score_and_loss(
            config,
            candidates.train_counts,
            list_negative=lists is not None and lists.config.list_negative,
            k=self.k,
            device=device,
        )

    def forward(self, batch: Batch) -> Tensor:
        """Returns the mean loss over the predicted items of `batch`; 0 if there are none."""
        if not batch.is_predicted.any():
            return self._nothing()
        panels = [each.to(self.device) for each in self._panels(batch)]
        with making_on(self.device):
            return self._loss(panels)

    def _nothing(self) -> Tensor:
        """Returns a loss of 0, whose gradients are 0, for a batch without items to predict."""
        weights = list(self.parameters())
        table = self.student.item_table
        none = torch.zeros((), device=self.device)
        if self.config.touched_rows:  # the gradient of the offsets must be sparse here too
            weights = [each for each in weights if each is not table.offsets]
            no_items = torch.zeros(0, dtype=torch.int64, device=self.device)
            none = none + table.vectors_of(no_items, sparse=True).sum()
        return sum((each.sum() * 0 for each in weights), none)

    def _panels(self, batch: Batch) -> Iterable[Batch]:
        """Rearranges `batch` so that little padding is left; returns one or more batches.

        Packs the windows into few rows if `training.packed_windows` is on and the student can read
        packed windows. Otherwise splits the batch by window length.
        """
        if self.config.packed_windows and self.student.packs_windows:
            return [batch.packed()]
        return batch.by_length(NUM_PANELS)

    def _loss(self, panels: Sequence[Batch]) -> Tensor:
        items = torch.cat([each.next_items[each.is_predicted] for each in panels])[:, None]
        if self.lists is not None:
            rows = torch.cat([each.next_rows[each.is_predicted] for each in panels])
            rankings, weights, share = self.lists.of(rows)
            items = torch.cat([items, rankings], dim=1)  # [positions, 1 + K]
        queries, table, items, scores, loss = self._scored(panels, items)
        next_item = self._smoothed(loss.of_next_items(scores[:, 0]), loss, queries, table)
        next_item += self._robust(queries, table, items[:, 0])
        if self.lists is None:
            return next_item.mean()
        list_scores = scores[:, 1:]
        if self.k:
            kth_best = _kth_best(loss, queries, table, self.k)
            weights = self.lists.with_consistency(rankings, weights, list_scores, kth_best)
        distilled = self.lists.loss(loss.of_lists(list_scores), weights)
        return total_loss(next_item, distilled, share)

    def _scored(self, panels: Sequence[Batch], items: Tensor) -> _Scored:
        """Scores `items` and builds the loss of the step.

        `items` holds item indices, `[positions, M]`, with the next items in the first column.
        """
        if self.thinned is not None:
            return self._scored_among_some(self.thinned, panels, items)
        table = self.student.item_table()
        read = torch.cat([items.new_zeros(1), *(each.histories.flatten() for each in panels)])
        # The leading 0 makes padding the first item. The gradient of a look-up is as large as the
        # table, so all panels share one.
        read, indices = torch.unique(read, return_inverse=True)
        queries = self._query_vectors(panels, indices[1:], functional.embedding(read, table))
        table, items = self.candidates.table(table), self.candidates.indices(items)
        return _Scored(queries, table, items, *self.score_and_loss(queries, table, items))

    def _scored_among_some(
        self, thinned: ThinnedCatalog, panels: Sequence[Batch], items: Tensor
    ) -> _Scored:
        """Scores `items` as `_scored` does, but the loss compares only some of the candidates.

        `thinned` selects these candidates.
        """
        read = torch.cat([each.histories.flatten() for each in panels])
        step = thinned.draw(torch.cat([read, items.flatten()]))
        item_table = self.student.item_table
        vectors = item_table.vectors_of(step.rows[1:], sparse=self.config.touched_rows)
        table = torch.cat([item_table.padding, vectors])
        queries = self._query_vectors(panels, step.index_of_row[read], table)
        table, items = step.competing(table), step.competing_rows(items)
        scored = full_softmax(queries, table, items, self.k, step.drawn)
        return _Scored(queries, table, items, *scored)

    def _smoothed(
        self, next_item: Tensor, loss: NextItemLoss, queries: Tensor, table: Tensor
    ) -> Tensor:
        """Applies label smoothing to the losses `next_item`; returns `[positions]`.

        The share `training.smoothing` of each label is spread evenly over all candidates. The mean
        of their losses is computed as the loss of their mean score. Both are equal, since
        cross-entropy is linear in the score of the labelled item.
        """
        if not (share := self.config.smoothing):
            return next_item
        spread = loss.of_next_items(queries @ table[1:].mean(dim=0))
        return (1 - share) * next_item + share * spread

    def _robust(self, queries: Tensor, table: Tensor, next_items: Tensor) -> Tensor | float:
        """Returns the DROS loss times its weight at each position, `[positions]`; 0 if it is off.

        DROS is distributionally robust optimisation, see `losses/dros.py`.
        """
        if not self.config.robust_weight:
            return 0.0
        return self.config.robust_weight * robust_losses(
            queries, table, next_items, self.nominal_shares, self.config.robust_temperature
        )

    def _query_vectors(self, panels: Sequence[Batch], read: Tensor, table: Tensor) -> Tensor:
        """Computes the query vector before each item to predict, `[positions, hidden]`.

        Args:
            panels: the parts of a batch; positions are in the order of the parts.
            read: the items of all histories, flattened and concatenated, as rows of `table`.
            table: `[rows, hidden]`, item vectors; row 0 is padding.
        """
        histories = torch.split(read, [each.histories.numel() for each in panels])
        return torch.cat(
            [
                self._encoded(part.view(each.histories.shape), each, table)[each.is_predicted]
                for part, each in zip(histories, panels, strict=True)
            ]
        )

    def _encoded(self, histories: Tensor, panel: Batch, table: Tensor) -> Tensor:
        """Computes the query vectors of all positions of `panel`, `[batch, length, hidden]`.

        `histories` are those of `panel`, with items as rows of `table`.
        """
        if panel.windows is None:
            return self.student.encode(histories, table)
        return self.student.encode_packed(histories, panel.windows, table)


def _kth_best(loss: NextItemLoss, queries: Tensor, table: Tensor, k: int) -> Tensor:
    known = loss.kth_best
    return kth_best_scores(queries, table, k) if known is None else known
