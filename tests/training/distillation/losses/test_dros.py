import math

import numpy as np
import pytest
import torch

from training.compute import catalog_softmax
from training.distillation.losses.dros import nominal_shares, robust_losses

# One padding row, then three items; two positions.
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
QUERIES = torch.tensor([[1.0, 1.0], [0.5, -2.0]])
SCORES = [[1.0, 2.0, 0.0], [0.5, -4.0, -2.5]]  # by hand, of items 1, 2, 3
NEXT_ITEMS = torch.tensor([2, 3])


def test_nominal_shares_are_flattened_shares_of_the_training_interactions() -> None:
    shares = nominal_shares(np.array([0, 3, 0, 8])).tolist()

    assert shares == pytest.approx([(4 / 14) ** 0.05, (1 / 14) ** 0.05, (9 / 14) ** 0.05])


@pytest.mark.parametrize("cached_scores", [2**19, 0])
def test_the_robust_loss_is_its_formula_written_as_a_loop(
    monkeypatch: pytest.MonkeyPatch, cached_scores: int
) -> None:
    monkeypatch.setattr(catalog_softmax, "CACHED_SCORES", cached_scores)
    queries, next_items = QUERIES.repeat(20, 1), NEXT_ITEMS.repeat(20)  # more than one chunk
    shares = torch.tensor([0.9, 0.8, 0.7])

    actual = robust_losses(queries, TABLE, next_items, shares, temperature=2.0)

    expected = []
    for scores, next_item in zip(SCORES, NEXT_ITEMS.tolist(), strict=True):
        total = 0.0
        for item, (score, share) in enumerate(zip(scores, [0.9, 0.8, 0.7], strict=True), start=1):
            error = score - 1 if item == next_item else score
            total += math.exp(share * error**2 / 2.0)
        expected.append(math.log(total))
    assert actual.tolist() == pytest.approx(expected * 20)


def test_huge_scores_give_a_finite_loss_and_finite_gradients() -> None:
    queries = (1e4 * QUERIES).requires_grad_()

    loss = robust_losses(queries, TABLE, NEXT_ITEMS, torch.ones(3), temperature=1.0).sum()
    torch.autograd.backward(loss)

    assert math.isfinite(loss.item())
    assert queries.grad is not None
    assert torch.isfinite(queries.grad).all()


def test_the_worst_item_is_pulled_hardest_towards_its_label() -> None:
    scores = torch.tensor([[0.5, 3.0, 0.2]], requires_grad=True)
    table = torch.cat([torch.zeros(1, 3), torch.eye(3)])

    loss = robust_losses(scores, table, torch.tensor([1]), torch.ones(3), temperature=1.0).sum()
    torch.autograd.backward(loss)

    assert scores.grad is not None
    next_item, worst, other = scores.grad[0].tolist()
    assert next_item < 0 < other < worst
