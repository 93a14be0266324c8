"""Losses of the next item: full softmax, sampled softmax, or binary with one negative.

A `NextItemLoss` belongs to the positions of one batch. It turns scores into losses, both of next
items and of the teacher's lists. `score_and_loss` picks the kind that a config names.
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
    """Turns scores at the positions of a batch into losses."""

    @property
    def kth_best(self) -> Tensor | None:
        """The student's K-th best scores, `[positions]`; None if computing them costs extra."""
        ...

    def of_next_items(self, scores: Tensor) -> Tensor:
        """Losses of the true next items, `[positions]`."""
        ...

    def of_lists(self, scores: Tensor) -> Tensor:
        """Unweighted losses of listed items, `[positions, K]`."""
        ...


ScoreAndLoss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, NextItemLoss]]
"""Maps queries `[positions, hidden]`, an item table and items `[positions, M]` to scores and loss.

The next item is the first of each position's items; scores have the shape of the items.
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
    """Cross-entropy whose normaliser is estimated from a sample.

    `log(exp(y_i) + others) - y_i`, which is `softplus(log_others - y_i)`: never below 0, even for
    a listed item that the sample missed.

    Attributes:
        log_others: `[positions]`, estimate of `log sum exp` over all items except the next.
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
    """Binary cross-entropy (paper eq. 3); listed items are positives (eq. 5).

    Attributes:
        negatives: `[positions]`, scores of the negatives.
        with_lists: whether listed items have the negative term, too, as in the reference code:
            `-log sigmoid(1 - y)`, where eq. 3 would have `-log sigmoid(-y)`.
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


def score_and_loss(
    config: TrainingConfig,
    train_counts: NDArray[np.int64],
    *,
    list_negative: bool = False,
    k: int = 0,
    device: torch.device | None = None,
) -> ScoreAndLoss:
    """The function that scores items and makes the loss that `config.loss` names.

    Args:
        config: the loss, and how it draws negatives.
        train_counts: `[catalog rows]`, training interactions per item.
        list_negative: see `BinaryLoss.with_lists`.
        k: the full softmax gives the K-th best score, too; 0 = it does not.
        device: of the queries, by default the CPU.
    """
    if config.loss == "sampled-cross-entropy":
        return _sampled_softmax(config, train_counts, device)
    if config.loss == "binary":
        return _binary_loss(list_negative)
    return _full_softmax(k)


def _full_softmax(k: int) -> ScoreAndLoss:
    def compute(queries: Tensor, table: Tensor, items: Tensor) -> tuple[Tensor, NextItemLoss]:
        normaliser, scores, kth_best = softmax_of_catalog(queries, table, items, k)
        return scores, FullSoftmax(normaliser, kth_best if k else None)

    return compute


def _sampled_softmax(
    config: TrainingConfig, train_counts: NDArray[np.int64], device: torch.device | None
) -> ScoreAndLoss:
    counts = torch.from_numpy(train_counts[1:]).double() + 1  # an untrained item is drawn, too
    odds = counts**config.negative_popularity
    chances = (odds / odds.sum()).float().to(device)

    def compute(queries: Tensor, table: Tensor, items: Tensor) -> tuple[Tensor, NextItemLoss]:
        drawn = torch.multinomial(chances, config.num_negatives, replacement=True)
        others = log_others(queries, table, items[:, 0], drawn + 1, chances[drawn])
        return scores_of(queries, table, items), SampledSoftmax(others)

    return compute


def _binary_loss(with_lists: bool) -> ScoreAndLoss:
    def compute(queries: Tensor, table: Tensor, items: Tensor) -> tuple[Tensor, NextItemLoss]:
        negatives = other_items(items[:, :1], len(table))
        scores = scores_of(queries, table, torch.cat([items, negatives], dim=1))
        return scores[:, :-1], BinaryLoss(scores[:, -1], with_lists)

    return compute


def log_others(
    queries: Tensor, table: Tensor, next_items: Tensor, drawn: Tensor, chances: Tensor
) -> Tensor:
    """Estimates `log sum_{i != next} exp(y_i)` from a sample, `[positions]`.

    Each drawn item is weighted by `1 / (draws * chance)` (the logQ correction), which makes the
    estimate of the sum unbiased. Draws of the next item do not count.

    Args:
        queries: `[positions, hidden]`.
        table: `[catalog rows, hidden]`.
        next_items: `[positions]`.
        drawn: `[draws]`, item indices, shared by all positions.
        chances: `[draws]`, probability of each to be drawn.
    """
    scores = queries @ table[drawn].T - torch.log(len(drawn) * chances)
    others = scores.masked_fill(drawn == next_items[:, None], torch.finfo(scores.dtype).min)
    return torch.logsumexp(others, dim=1)


def other_items(items: Tensor, num_rows: int) -> Tensor:
    """Draws an item other than each of `items`, uniformly; the catalog needs two items."""
    drawn = torch.randint(1, num_rows - 1, items.shape, device=items.device)
    return drawn + (drawn >= items)
