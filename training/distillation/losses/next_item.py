"""Losses of the next item: full softmax, sampled softmax, or binary with one negative.

A `NextItemLoss` is made for one batch. It turns scores into losses, for the next items and for the
items of the teacher's ranking lists. `score_and_loss` selects the kind of loss that the settings
name. A shape `[positions]` has an entry for each position of the batch after which an item is to be
predicted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from training.compute.catalog_softmax import Upweighted, softmax_of_catalog
from training.distillation.losses.combine import scores_of
from training.settings.experiment import TrainingConfig


class NextItemLoss(Protocol):
    """Interface of a batch's loss: turns scores of next items, and of teacher lists, into losses.

    An implementation holds what those scores are compared with: a normaliser or the scores of
    negatives.
    """

    @property
    def kth_best(self) -> Tensor | None:
        """The student's K-th best score at each position, `[positions]`; K is a list's length.

        It is None unless the loss computes it as a by-product.
        """
        ...

    def of_next_items(self, scores: Tensor) -> Tensor:
        """Computes losses `[positions]` of the true next items from their scores `[positions]`."""
        ...

    def of_lists(self, scores: Tensor) -> Tensor:
        """Computes the unweighted losses of listed items from their scores.

        Losses and scores are `[positions, K]`.
        """
        ...


ScoreAndLoss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, NextItemLoss]]
"""Function that scores items at each position and makes the loss of these positions.

It takes query vectors `[positions, hidden]`, an item table `[rows, hidden]`, and items
`[positions, M]`, of which the first is the true next item. It returns the scores `[positions, M]`
and the loss.
"""


@dataclass(frozen=True)
class FullSoftmax:
    """Cross-entropy of item `i` over all candidates: `-log softmax(y)_i = log_normaliser - y_i`.

    `y` are the scores of the candidates.

    Attributes:
        log_normaliser: `[positions]`, `log sum exp` of the scores of all candidates.
        kth_best: `[positions]`, the K-th best score, for the consistency of lists of K items;
            None if it is not computed.
    """

    log_normaliser: Tensor
    kth_best: Tensor | None = None

    def of_next_items(self, scores: Tensor) -> Tensor:
        """Implements `NextItemLoss.of_next_items`."""
        return self.log_normaliser - scores

    def of_lists(self, scores: Tensor) -> Tensor:
        """Implements `NextItemLoss.of_lists`."""
        return self.log_normaliser[:, None] - scores


@dataclass(frozen=True)
class SampledSoftmax:
    """Cross-entropy whose normaliser is estimated from a sample of items.

    The loss of item i with score `y_i` is `log(exp(y_i) + exp(log_others)) - y_i`. This equals
    `softplus(log_others - y_i)`. The loss is never below 0, even for a listed item that is not in
    the sample.

    Attributes:
        log_others: `[positions]`, estimate of `log sum exp` of the scores of all items except the
            next one.
    """

    log_others: Tensor
    kth_best: None = None

    def of_next_items(self, scores: Tensor) -> Tensor:
        """Implements `NextItemLoss.of_next_items`."""
        return softplus(self.log_others - scores)

    def of_lists(self, scores: Tensor) -> Tensor:
        """Implements `NextItemLoss.of_lists`."""
        return softplus(self.log_others[:, None] - scores)


@dataclass(frozen=True)
class BinaryLoss:
    """Binary cross-entropy with one negative per position (DLLM2Rec, eq. 3 and 5).

    The next item and the listed items are positives; `y` is the score of the negative.

    Attributes:
        negatives: `[positions]`, scores of the negatives.
        with_lists: whether the loss of a listed item has a negative term, too. As in the reference
            code, that term is `-log sigmoid(1 - y)` rather than the `-log sigmoid(-y)` of eq. 3.
    """

    negatives: Tensor
    with_lists: bool
    kth_best: None = None

    def of_next_items(self, scores: Tensor) -> Tensor:
        """Implements `NextItemLoss.of_next_items`."""
        return softplus(-scores) + softplus(self.negatives)

    def of_lists(self, scores: Tensor) -> Tensor:
        """Implements `NextItemLoss.of_lists`."""
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
    """Returns a function that scores items and builds the loss that `config.loss` names.

    The function takes query vectors, an item table and items, see `ScoreAndLoss`.

    Args:
        config: settings of the loss and of the sampling of negatives.
        train_counts: `[catalog rows]`, number of training interactions of each item.
        list_negative: whether the binary loss of a listed item has a negative term.
        k: rank of the K-th best score, which the full softmax computes, too; 0 skips it. Other
            losses never compute this score.
        device: device of the query vectors; None is the CPU.
    """
    if config.loss == "sampled-cross-entropy":
        return _sampled_softmax(config, train_counts, device)
    if config.loss == "binary":
        return _binary_loss(list_negative)
    return _full_softmax(k)


def _full_softmax(k: int) -> ScoreAndLoss:
    def compute(queries: Tensor, table: Tensor, items: Tensor) -> tuple[Tensor, NextItemLoss]:
        return full_softmax(queries, table, items, k)

    return compute


def full_softmax(
    queries: Tensor,
    table: Tensor,
    items: Tensor,
    k: int = 0,
    upweighted: Upweighted | None = None,
) -> tuple[Tensor, FullSoftmax]:
    """Scores items at each position, `[positions, M]`, and makes the `FullSoftmax` over a table.

    Args:
        queries: `[positions, hidden]`, query vectors.
        table: `[rows, hidden]`, item vectors; row 0 is padding and left out.
        items: `[positions, M]`, rows of `table`.
        k: rank of the K-th best score, which is also computed at each position; 0 skips it.
        upweighted: the rows of `table` that each stand for several items; None if there are none.
    """
    normaliser, scores, kth_best = softmax_of_catalog(
        queries, table, items, k, upweighted=upweighted
    )
    return scores, FullSoftmax(normaliser, kth_best if k else None)


def _sampled_softmax(
    config: TrainingConfig, train_counts: NDArray[np.int64], device: torch.device | None
) -> ScoreAndLoss:
    # Add 1, so that items without a training interaction may be drawn, too.
    counts = torch.from_numpy(train_counts[1:]).double() + 1
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
    """Estimates `log sum exp` of the scores of all items except the next, `[positions]`.

    The exponential of each draw is weighted by `1 / (draws * chance)`, the logQ correction. So the
    estimate of the sum is unbiased. Draws of the next item do not count.

    Args:
        queries: `[positions, hidden]`, query vectors.
        table: `[catalog rows, hidden]`, item vectors.
        next_items: `[positions]`, item indices.
        drawn: `[draws]`, sampled item indices, shared by all positions.
        chances: `[draws]`, probability of drawing each of these items.
    """
    scores = queries @ table[drawn].T - torch.log(len(drawn) * chances)
    others = scores.masked_fill(drawn == next_items[:, None], torch.finfo(scores.dtype).min)
    return torch.logsumexp(others, dim=1)


def other_items(items: Tensor, num_rows: int) -> Tensor:
    """Draws, for each of `items`, one of the other items, uniformly; returns the same shape.

    `num_rows` is the number of catalog rows, padding included. It must be at least 3, so that there
    are two items.
    """
    drawn = torch.randint(1, num_rows - 1, items.shape, device=items.device)
    return drawn + (drawn >= items)
