import math

import pytest
import torch

from training.distillation.losses.combine import (
    distillation_loss,
    distribution_loss,
    scores_of,
    total_loss,
)


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


def test_the_distribution_loss_is_cross_entropy_over_listed_items_and_one_rest() -> None:
    """The teacher has 1/2, 1/4 and 1/4 for the rest; the student 1/4, 1/4 and 1/2.

    In the second list the place after the first item is empty, whatever its score.
    """
    list_losses = torch.tensor([[math.log(4), math.log(4)], [math.log(2), math.log(10)]])
    probabilities = torch.tensor([[0.5, 0.25], [0.5, 0.0]])

    losses = distribution_loss(list_losses, probabilities)

    first = 0.5 * math.log(4) + 0.25 * math.log(4) + 0.25 * math.log(2)
    assert losses.tolist() == pytest.approx([first, math.log(2)])


def test_the_distribution_loss_is_least_where_the_student_agrees_and_finite_elsewhere() -> None:
    probabilities = torch.tensor([[0.5, 0.3]])
    losses = torch.tensor([[math.log(2), -math.log(0.3)]], requires_grad=True)

    (gradient,) = torch.autograd.grad(distribution_loss(losses, probabilities).sum(), losses)

    assert gradient.tolist() == [pytest.approx([0, 0], abs=1e-6)]
    certain = distribution_loss(torch.tensor([[0.0, 30.0]]), probabilities)
    assert certain.isfinite().all()
