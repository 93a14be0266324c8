import pytest
import torch

from training.distillation.losses.combine import distillation_loss, scores_of, total_loss


def test_scores_are_those_of_a_list_per_query() -> None:
    table = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
    queries = torch.tensor([[1.0, 1.0], [0.5, -2.0]])
    items = torch.tensor([[2, 1], [3, 2]])

    assert scores_of(queries, table, items).tolist() == [[2, 1], [-2.5, -4]]


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
