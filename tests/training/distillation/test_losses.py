import math

import pytest
import torch

from training.distillation import losses
from training.distillation.losses import (
    distillation_loss,
    log_normaliser,
    log_normaliser_and_kth_best,
    scores_of,
    total_loss,
)

# One padding row, then three items; two positions.
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
QUERIES = torch.tensor([[1.0, 1.0], [0.5, -2.0]])
SCORES = [[1.0, 2.0, 0.0], [0.5, -4.0, -2.5]]  # by hand, of items 1, 2, 3


def test_the_normaliser_sums_over_real_items_only() -> None:
    expected = [math.log(sum(math.exp(score) for score in row)) for row in SCORES]

    assert log_normaliser(QUERIES, TABLE).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kept_scores", [0, 10_000])
def test_the_normaliser_has_the_gradients_of_plain_logsumexp(
    monkeypatch: pytest.MonkeyPatch, kept_scores: int
) -> None:
    monkeypatch.setattr(losses, "CACHED_SCORES", 0)  # many chunks, the last one short
    monkeypatch.setattr(losses, "KEPT_SCORES", kept_scores)
    torch.manual_seed(0)
    queries, table = torch.randn(37, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True)
    weights = torch.rand(37)

    fast = torch.autograd.grad((weights * log_normaliser(queries, table)).sum(), [queries, table])
    plain = (weights * torch.logsumexp(queries @ table[1:].T, dim=1)).sum()

    for actual, expected in zip(fast, torch.autograd.grad(plain, [queries, table]), strict=True):
        torch.testing.assert_close(actual, expected)


def test_the_kth_best_score_comes_with_the_normaliser() -> None:
    normaliser, kth_best = log_normaliser_and_kth_best(QUERIES, TABLE, 2)

    assert normaliser.tolist() == log_normaliser(QUERIES, TABLE).tolist()
    assert kth_best.tolist() == [1, -2.5]


def test_scores_are_those_of_one_item_or_of_a_list_per_query() -> None:
    assert scores_of(QUERIES, TABLE, torch.tensor([2, 3])).tolist() == [2, -2.5]
    assert scores_of(QUERIES, TABLE, torch.tensor([[2, 1], [3, 2]])).tolist() == [
        [2, 1],
        [-2.5, -4],
    ]


def test_the_distillation_loss_is_the_weighted_sum_over_the_list() -> None:
    list_losses = torch.tensor([[2.0, 4.0], [1.0, 10.0]])
    weights = torch.tensor([[0.75, 0.25], [0.5, 0.1]])

    assert distillation_loss(list_losses, weights).tolist() == pytest.approx([2.5, 1.5])


def test_the_total_mixes_both_losses_by_each_positions_share() -> None:
    total = total_loss(
        next_item=torch.tensor([2.0, 5.0]),
        distillation=torch.tensor([4.0, 100.0]),
        weight=torch.tensor([0.25, 0.0]),
    )

    assert total.item() == pytest.approx((0.75 * 2 + 0.25 * 4 + 5) / 2)
