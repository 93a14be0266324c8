"""With `training.average_decay`, validation measures the average of the weights, which is kept."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.distillation.test_large_catalogs import with_training
from tests.training.distillation.test_trainer import trainer
from training.data.dataset import Dataset
from training.distillation.trainer import Trainer
from training.knowledge import Knowledge
from training.settings.experiment import Experiment


@pytest.fixture
def averaged(experiment: Experiment) -> Experiment:
    return with_training(experiment, average_decay=0.9, max_epochs=3)


def table_of(state: Mapping[str, Tensor]) -> Tensor:
    return state["item_table.offsets"]


def test_the_average_of_all_steps_is_kept_and_the_weights_train_on(
    averaged: Experiment, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch, recomputed by hand from the weights after each step."""
    run = trainer(with_training(averaged, max_epochs=1), chain_dataset, None)
    expected = run.student.item_table.offsets.detach().clone()
    trained = []
    step = Trainer.step

    def watched(self: Trainer, batch: object) -> None:
        step(self, batch)  # type: ignore[arg-type]
        trained.append(self.student.item_table.offsets.detach().clone())

    monkeypatch.setattr(Trainer, "step", watched)
    kept = table_of(run.train(tmp_path / "state", "averaged").best_state)

    for weights in trained:
        expected = 0.9 * expected + 0.1 * weights
    torch.testing.assert_close(kept, expected)
    assert not torch.allclose(kept, trained[-1])


def test_averaging_changes_no_step(averaged: Experiment, chain_dataset: Dataset) -> None:
    runs = []
    for decay in (0.0, 0.9):
        run = trainer(with_training(averaged, average_decay=decay), chain_dataset, None)
        for batch in run.windows.epoch(0, 0):
            torch.manual_seed(0)
            run.step(batch)
        runs.append(run.student.item_table.offsets)

    assert torch.equal(*runs)


def test_a_resumed_run_keeps_the_same_average(
    averaged: Experiment, chain_dataset: Dataset, knowledge: Knowledge, tmp_path: Path
) -> None:
    whole = trainer(averaged, chain_dataset, knowledge).train(tmp_path / "whole", "whole")

    first = trainer(with_training(averaged, max_epochs=1), chain_dataset, knowledge)
    first.train(tmp_path / "state", "first epoch")
    resumed = trainer(averaged, chain_dataset, knowledge).train(tmp_path / "state", "resumed")

    for name, weights in whole.best_state.items():
        assert torch.equal(resumed.best_state[name], weights), name


def test_a_refit_keeps_the_average_too(
    averaged: Experiment, chain_dataset: Dataset, tmp_path: Path
) -> None:
    run = trainer(averaged, chain_dataset, None)
    run.num_epochs = 2
    progress = run.train(tmp_path / "state", "refit")

    assert run.average is not None
    kept = [progress.best_state[name] for name, _ in run.student.named_parameters()]
    assert all(map(torch.equal, kept, run.average.weights))
