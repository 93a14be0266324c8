"""What a step makes smaller: the loss of a batch, as one module of the student and its lists."""

import torch
from torch import Tensor, nn

from training.config import TrainingConfig
from training.device import making_on
from training.distillation.batches import Batch
from training.distillation.contrasts import Contrast, contrasts
from training.distillation.lists import RankingLists
from training.distillation.losses import distillation_loss, kth_best_scores, scores_of, total_loss
from training.distillation.rivals import Rivals
from training.distillation.robust import nominal_shares, robust_losses
from training.students.student import Student


class Objective(nn.Module):
    """The next-item loss, and beside it that of the teacher's `lists`, on one device."""

    def __init__(
        self,
        student: Student,
        config: TrainingConfig,
        rivals: Rivals,
        lists: RankingLists | None,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.student = student.to(device)
        self.config = config
        self.rivals = rivals.to(device)
        self.lists = None if lists is None else lists.to(device)
        self.device = device
        self.nominal_shares = nominal_shares(rivals.train_counts).to(device)
        self.contrasts = contrasts(
            config,
            rivals.train_counts,
            list_negative=lists is not None and lists.config.list_negative,
            k=0 if lists is None else lists.own_list_length,
            device=device,
        )

    def forward(self, batch: Batch) -> Tensor:
        """Mean loss over the batch's predicted positions; 0 of a batch without any."""
        if not (batch.next_items != 0).any():
            return sum((each.sum() * 0 for each in self.parameters()), torch.zeros(()))
        with making_on(self.device):
            return self._loss(batch.to(self.device))

    def _loss(self, batch: Batch) -> Tensor:
        table = self.student.item_table()
        valid = batch.next_items != 0
        queries = self.student.encode(batch.histories, table)[valid]  # [positions, hidden]
        next_items = batch.next_items[valid]
        rivals, among_rivals = self.rivals.table(table), self.rivals.indices(next_items)
        contrast = self.contrasts(queries, rivals, among_rivals)
        next_item = contrast.of_next_items(scores_of(queries, table, next_items))
        if self.config.robust_weight:
            next_item = next_item + self.config.robust_weight * robust_losses(
                queries, rivals, among_rivals, self.nominal_shares, self.config.robust_temperature
            )
        if self.lists is None:
            return next_item.mean()
        rankings, weights, share = self.lists.of(batch.next_rows[valid])
        scores = scores_of(queries, table, rankings)
        if k := self.lists.own_list_length:
            kth_best = _kth_best(contrast, queries, rivals, k)
            weights = self.lists.agreed(rankings, weights, scores, kth_best)
        return total_loss(next_item, distillation_loss(contrast.of_lists(scores), weights), share)


def _kth_best(contrast: Contrast, queries: Tensor, table: Tensor, k: int) -> Tensor:
    known = contrast.kth_best
    return kth_best_scores(queries, table, k) if known is None else known
