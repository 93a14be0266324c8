"""The progress of a training in a file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from benchmarks.rivals.resumed_training import Progress, load_progress, save_progress

FACTS = {"seed": 0, "learning_rate": 0.01, "heads": (1, 2)}


def trained(steps: int) -> tuple[nn.Module, Adam]:
    torch.manual_seed(1)
    module = nn.Linear(3, 1)
    optimiser = Adam(module.parameters(), lr=0.1)
    for _ in range(steps):
        step(module, optimiser)
    return module, optimiser


def step(module: nn.Module, optimiser: Adam) -> None:
    optimiser.zero_grad()
    loss: Tensor = module(torch.tensor([[1.0, 2.0, 3.0]])).square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def weights(module: nn.Module) -> list[float]:
    return torch.cat([each.detach().flatten() for each in module.parameters()]).tolist()


def test_a_training_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    path = tmp_path / "progress.npz"
    module, optimiser = trained(2)
    best = {name: each.clone() for name, each in module.state_dict().items()}
    save_progress(path, FACTS, Progress(2, 1, 0.5, 7.0, best), module, optimiser)
    step(module, optimiser)

    other, its_optimiser = trained(0)
    progress = load_progress(path, FACTS, other, its_optimiser)
    step(other, its_optimiser)

    assert weights(other) == weights(module)
    assert (progress.epoch, progress.best_epoch, progress.best, progress.seconds) == (2, 1, 0.5, 7)
    assert all(torch.equal(progress.weights[name], each) for name, each in best.items())
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("facts", [{**FACTS, "seed": 1}, {}])
def test_progress_of_another_training_counts_for_nothing(
    tmp_path: Path, facts: dict[str, object]
) -> None:
    path = tmp_path / "progress.npz"
    module, optimiser = trained(2)
    save_progress(path, FACTS, Progress(epoch=2), module, optimiser)
    other, its_optimiser = trained(0)
    before = weights(other)

    assert load_progress(path, facts, other, its_optimiser) == Progress()
    assert weights(other) == before


def test_without_a_file_a_training_begins(tmp_path: Path) -> None:
    assert load_progress(tmp_path / "progress.npz", FACTS, *trained(0)).epoch == 0
