import torch
from torch import nn
from torch.nn import functional

from training.compute.optimiser import RowwiseOptimiser, optimiser_of


def step(table: nn.Parameter, optimiser: RowwiseOptimiser, row: int) -> None:
    optimiser.zero_grad()
    torch.autograd.backward(functional.embedding(torch.tensor([row]), table, sparse=True).sum())
    optimiser.step()


def test_a_step_changes_the_touched_row_as_adam_does_and_no_other() -> None:
    """The gradient is 1, so Adam's first step is the learning rate, and so is its second."""
    table = nn.Parameter(torch.zeros(3, 2))
    optimiser = RowwiseOptimiser(table, [nn.Parameter(torch.zeros(1))], learning_rate=0.1)

    step(table, optimiser, 1)
    torch.testing.assert_close(table.data, torch.tensor([[0.0, 0.0], [-0.1, -0.1], [0.0, 0.0]]))

    step(table, optimiser, 2)
    assert torch.equal(table.data[0], torch.zeros(2))
    torch.testing.assert_close(table.data[1], torch.tensor([-0.1, -0.1]))


def test_a_restored_optimiser_goes_on_with_the_same_bits() -> None:
    def trained(restores: bool) -> torch.Tensor:
        table, other = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(2))
        optimiser = RowwiseOptimiser(table, [other], learning_rate=0.1)
        for row in (0, 1, 1, 2):
            if restores:
                saved = optimiser.state_dict()
                optimiser = RowwiseOptimiser(table, [other], learning_rate=0.1)
                optimiser.load_state_dict(saved)
            optimiser.zero_grad()
            read = functional.embedding(torch.tensor([row]), table, sparse=True)
            torch.autograd.backward((read * other).square().sum())
            optimiser.step()
        return torch.cat([table.data, other.data[None]])

    assert torch.equal(trained(restores=True), trained(restores=False))


def test_a_table_that_is_not_trained_is_left_alone() -> None:
    table, other = nn.Parameter(torch.ones(2, 2), requires_grad=False), nn.Parameter(torch.ones(2))
    optimiser = optimiser_of([table, other], 0.1, 0.0, table)

    torch.autograd.backward((table * other).sum())
    optimiser.step()

    assert torch.equal(table.data, torch.ones(2, 2))
    torch.testing.assert_close(other.data, torch.full((2,), 0.9))
