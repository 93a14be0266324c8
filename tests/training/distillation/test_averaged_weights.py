"""With `training.averaged_epochs`, the average of the weights is validated and kept."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.distillation.test_large_catalogs import with_training
from tests.training.distillation.test_trainer import trainer
from training.compute.tensor_file import read_tensors
from training.data.dataset import Dataset
from training.distillation.trainer import Trainer
from training.knowledge import Knowledge
from training.settings.experiment import Experiment


@pytest.fixture
def averaged(experiment: Experiment) -> Experiment:
    return with_training(experiment, averaged_epochs=2, max_epochs=3)


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

    share = 1 / (2 * len(trained))  # of a step, in an average over two epochs
    for weights in trained:
        expected = (1 - share) * expected + share * weights
    torch.testing.assert_close(kept, expected)
    assert not torch.allclose(kept, trained[-1])


def test_averaging_changes_no_step(
    averaged: Experiment, experiment: Experiment, chain_dataset: Dataset, tmp_path: Path
) -> None:
    runs = []
    for each in (averaged, with_training(experiment, max_epochs=3)):
        runs.append(trainer(each, chain_dataset, None))
        runs[-1].num_epochs = 3
        runs[-1].train(tmp_path / f"{len(runs)}", "")
    first, second = (read_tensors(tmp_path / name)["student"] for name in ("1", "2"))

    assert torch.equal(table_of(first), table_of(second))
    assert not torch.equal(*(table_of(run.progress.best_state) for run in runs))


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
