"""What a score is held against: the whole catalog, a sample of it, or one negative.

A contrast belongs to the positions of one batch and turns scores into losses, of the next item
and of the teacher's lists alike; `next_item_losses` picks the kind that a config names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from training.compute.catalog_softmax import softmax_of_catalog
from training.distillation.losses.combine import scores_of
from training.settings.experiment import TrainingConfig


class NextItemLoss(Protocol):
    """Losses of the scores at some positions."""

    @property
    def kth_best(self) -> Tensor | None:
        """The student's K-th best scores, `[positions]`, where they came at no cost."""
        ...

    def of_next_items(self, scores: Tensor) -> Tensor:
        """Losses of the true next items, `[positions]`."""
        ...

    def of_lists(self, scores: Tensor) -> Tensor:
        """Losses of listed items, `[positions, K]`, not yet weighed."""
        ...


Contrasts = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, NextItemLoss]]
"""Queries `[positions, hidden]`, item table and items `[positions, M]` in, the next one first.

Out come the items' scores, `[positions, M]`, and what turns them into losses.
"""


@dataclass(frozen=True)
class FullSoftmax:
    """Cross-entropy: `-log softmax(y)_i = log_normaliser - y_i`."""

    log_normaliser: Tensor
    kth_best: Tensor | None = None

    def of_next_items(self, scores: Tensor) -> Tensor:
        """See `NextItemLoss.of_next_items`."""
        return self.log_normaliser - scores

    def of_lists(self, scores: Tensor) -> Tensor:
        """See `NextItemLoss.of_lists`."""
        return self.log_normaliser[:, None] - scores


@dataclass(frozen=True)
class SampledSoftmax:
    """Cross-entropy with the other items' part of the normaliser estimated from a sample.

    `log(exp(y_i) + others) - y_i`, which is `softplus(log_others - y_i)`: never below 0, also
    for a listed item that the sample missed.

    Attributes:
        log_others: `[positions]`, of every item but the next.
    """

    log_others: Tensor
    kth_best: None = None

    def of_next_items(self, scores: Tensor) -> Tensor:
        """See `NextItemLoss.of_next_items`."""
        return softplus(self.log_others - scores)

    def of_lists(self, scores: Tensor) -> Tensor:
        """See `NextItemLoss.of_lists`."""
        return softplus(self.log_others[:, None] - scores)


@dataclass(frozen=True)
class BinaryLoss:
    """Binary cross-entropy (paper eq. 3); a list is all positives (eq. 5).

    Attributes:
        negatives: `[positions]`, their scores.
        with_lists: whether the negative stands against listed items too, as in the reference
            code: `-log sigmoid(1 - y)`, where eq. 3 would have `-log sigmoid(-y)`.
    """

    negatives: Tensor
    with_lists: bool
    kth_best: None = None

    def of_next_items(self, scores: Tensor) -> Tensor:
        """See `NextItemLoss.of_next_items`."""
        return softplus(-scores) + softplus(self.negatives)

    def of_lists(self, scores: Tensor) -> Tensor:
        """See `NextItemLoss.of_lists`."""
        positive = softplus(-scores)
        return positive + softplus(self.negatives - 1)[:, None] if self.with_lists else positive


def next_item_losses(
    config: TrainingConfig,
    train_counts: NDArray[np.int64],
    *,
    list_negative: bool = False,
    k: int = 0,
    device: torch.device | None = None,
) -> Contrasts:
    """The contrasts that `config.loss` names.

    Args:
        config: the loss and how it draws negatives.
        train_counts: `[catalog rows]`, training interactions per item.
        list_negative: see `BinaryLoss.with_lists`.
        k: of the student's own K-th best score; 0 where nobody asks for it.
        device: of the queries, by default the CPU.
    """
    if config.loss == "sampled-cross-entropy":
        return _sampled_softmaxes(config, train_counts, device)
    if config.loss == "binary":
        return _binary_losses(list_negative)
    return _full_softmaxes(k)


def _full_softmaxes(k: int) -> Contrasts:
    def contrast(queries: Tensor, table: Tensor, items: Tensor) -> tuple[Tensor, NextItemLoss]:
        normaliser, scores, kth_best = softmax_of_catalog(queries, table, items, k)
        return scores, FullSoftmax(normaliser, kth_best if k else None)

    return contrast


def _sampled_softmaxes(
    config: TrainingConfig, train_counts: NDArray[np.int64], device: torch.device | None
) -> Contrasts:
    counts = torch.from_numpy(train_counts[1:]).double() + 1  # an unseen item is drawn too
    odds = counts**config.negative_popularity
    chances = (odds / odds.sum()).float().to(device)

    def contrast(queries: Tensor, table: Tensor, items: Tensor) -> tuple[Tensor, NextItemLoss]:
        drawn = torch.multinomial(chances, config.num_negatives, replacement=True)
        others = log_others(queries, table, items[:, 0], drawn + 1, chances[drawn])
        return scores_of(queries, table, items), SampledSoftmax(others)

    return contrast


def _binary_losses(with_lists: bool) -> Contrasts:
    def contrast(queries: Tensor, table: Tensor, items: Tensor) -> tuple[Tensor, NextItemLoss]:
        negatives = other_items(items[:, :1], len(table))
        scores = scores_of(queries, table, torch.cat([items, negatives], dim=1))
        return scores[:, :-1], BinaryLoss(scores[:, -1], with_lists)

    return contrast


def log_others(
    queries: Tensor, table: Tensor, next_items: Tensor, drawn: Tensor, chances: Tensor
) -> Tensor:
    """Estimates `log sum_{i != next} exp(y_i)` from a sample, `[positions]`.

    Each drawn item stands for `1 / (draws * chance)` items (the logQ correction), which makes the
    estimate of the sum unbiased; the next item is passed over where it is drawn.

    Args:
        queries: `[positions, hidden]`.
        table: `[catalog rows, hidden]`.
        next_items: `[positions]`.
        drawn: `[draws]`, item indices shared by the positions.
        chances: `[draws]`, the chance of each to be drawn.
    """
    scores = queries @ table[drawn].T - torch.log(len(drawn) * chances)
    missed = scores.masked_fill(drawn == next_items[:, None], torch.finfo(scores.dtype).min)
    return torch.logsumexp(missed, dim=1)


def other_items(items: Tensor, num_rows: int) -> Tensor:
    """An item other than each of `items`, all equally likely; a catalog of one has no other."""
    drawn = torch.randint(1, num_rows - 1, items.shape, device=items.device)
    return drawn + (drawn >= items)
