import math

import pytest
import torch

from training.distillation import losses
from training.distillation.losses import (
    distillation_loss,
    log_normaliser,
    next_item_loss,
    scores_of,
    total_loss,
)

# One padding row, then three items; two positions.
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
QUERIES = torch.tensor([[1.0, 1.0], [0.5, -2.0]])
SCORES = [[1.0, 2.0, 0.0], [0.5, -4.0, -2.5]]  # by hand, of items 1, 2, 3


def log_softmax(position: int, item: int) -> float:
    """By plain Python, over the real items."""
    total = sum(math.exp(score) for score in SCORES[position])
    return SCORES[position][item - 1] - math.log(total)


def test_the_normaliser_sums_over_real_items_only() -> None:
    expected = [math.log(sum(math.exp(score) for score in row)) for row in SCORES]

    assert log_normaliser(QUERIES, TABLE).tolist() == pytest.approx(expected)


def test_the_normaliser_has_the_gradients_of_plain_logsumexp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "CACHED_SCORES", 0)  # many chunks, the last one short
    torch.manual_seed(0)
    queries, table = torch.randn(37, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True)
    weights = torch.rand(37)

    fast = torch.autograd.grad((weights * log_normaliser(queries, table)).sum(), [queries, table])
    plain = (weights * torch.logsumexp(queries @ table[1:].T, dim=1)).sum()

    for actual, expected in zip(fast, torch.autograd.grad(plain, [queries, table]), strict=True):
        torch.testing.assert_close(actual, expected)


def test_the_next_item_loss_is_cross_entropy() -> None:
    next_items = torch.tensor([2, 3])
    normaliser = log_normaliser(QUERIES, TABLE)

    loss = next_item_loss(normaliser, scores_of(QUERIES, TABLE, next_items))

    assert loss.tolist() == pytest.approx([-log_softmax(0, 2), -log_softmax(1, 3)])


def test_the_distillation_loss_is_the_weighted_cross_entropy_of_the_list() -> None:
    rankings = torch.tensor([[2, 1], [3, 2]])
    weights = torch.tensor([[0.75, 0.25], [0.9, 0.1]])
    normaliser = log_normaliser(QUERIES, TABLE)

    loss = distillation_loss(normaliser, scores_of(QUERIES, TABLE, rankings), weights)

    assert loss.tolist() == pytest.approx(
        [
            -0.75 * log_softmax(0, 2) - 0.25 * log_softmax(0, 1),
            -0.9 * log_softmax(1, 3) - 0.1 * log_softmax(1, 2),
        ]
    )


def test_the_total_mixes_both_losses_by_each_positions_share() -> None:
    total = total_loss(
        next_item=torch.tensor([2.0, 5.0]),
        distillation=torch.tensor([4.0, 100.0]),
        weight=torch.tensor([0.25, 0.0]),
    )

    assert total.item() == pytest.approx((0.75 * 2 + 0.25 * 4 + 5) / 2)
