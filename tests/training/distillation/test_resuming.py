"""A training that was killed is resumed from its last epoch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from tests.training.distillation.test_trainer import trainer
from training.compute import tensor_file
from training.compute.tensor_file import read_tensors, write_tensors
from training.data.dataset import Dataset
from training.distillation.trainer import Trainer
from training.knowledge import Knowledge
from training.progress import ProgressBar
from training.settings.experiment import Experiment
from training.stage import new_file


class Killed(BaseException):
    """Ends a run at once, like a signal."""


def die_in_validation(monkeypatch: pytest.MonkeyPatch, after_epochs: int) -> None:
    validate = Trainer.validate

    def dying(self: Trainer, after_batch: Callable[[], None]) -> object:
        if self.progress.epoch == after_epochs:
            raise Killed
        return validate(self, after_batch)

    monkeypatch.setattr(Trainer, "validate", dying)


@pytest.mark.parametrize("epochs_before", [0, 1, 3])
@pytest.mark.parametrize("with_teacher", [False, True])
def test_a_killed_and_resumed_run_ends_with_the_same_bits(
    experiment: Experiment,
    chain_dataset: Dataset,
    knowledge: Knowledge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs_before: int,
    with_teacher: bool,
) -> None:
    teacher = knowledge if with_teacher else None
    whole = trainer(experiment, chain_dataset, teacher).train(tmp_path / "whole", "whole")

    with monkeypatch.context() as patch:
        die_in_validation(patch, after_epochs=epochs_before)
        with pytest.raises(Killed):
            trainer(experiment, chain_dataset, teacher).train(tmp_path / "state", "killed")
    torch.rand(5)  # another process would not have these random numbers
    resumed_trainer = trainer(experiment, chain_dataset, teacher)
    resumed = resumed_trainer.train(tmp_path / "state", "resumed")

    assert resumed.best_metrics == whole.best_metrics
    assert resumed.best_epoch == whole.best_epoch
    for name, weights in whole.best_state.items():
        assert torch.equal(resumed.best_state[name], weights), name
        assert torch.equal(resumed_trainer.student.state_dict()[name], weights), name


def test_epochs_of_before_a_kill_do_not_make_a_run_look_quick(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_in_validation(patch, after_epochs=3)
        with pytest.raises(Killed):
            trainer(experiment, chain_dataset, None).train(tmp_path / "state", "killed")
    begun, bars = [], []

    def watched(label: str, total: float, unit: str, *, done: float, shown: bool) -> ProgressBar:
        begun.append((done, total, unit))
        bars.append(ProgressBar(label, total, unit, done=done, shown=shown))
        return bars[-1]

    monkeypatch.setattr("training.distillation.trainer.ProgressBar", watched)
    trainer(experiment, chain_dataset, None).train(tmp_path / "state", "resumed")

    assert begun == [(3, 8, "epoch")]
    assert [bar.done for bar in bars] == [8]


def test_a_run_names_each_commit_that_trained_it_once(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []
    for current in ("abc", "abc", "def"):
        monkeypatch.setattr("training.distillation.trainer.commit", lambda current=current: current)
        progress = trainer(experiment, chain_dataset, None).train(tmp_path / "state", "run")
        commits.append(progress.commits)

    assert commits == [("abc",), ("abc",), ("abc", "def")]


def test_a_kill_while_a_state_is_written_leaves_no_state(
    experiment: Experiment,
    chain_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def half_written(path: Path) -> Iterator[BinaryIO]:
        with new_file(path) as file:
            file.write(b"half")
            raise Killed
            yield file

    monkeypatch.setattr(tensor_file, "new_file", half_written)
    with pytest.raises(Killed):
        trainer(experiment, chain_dataset, None).train(tmp_path / "state", "killed")

    assert not (tmp_path / "state").exists()


def test_a_state_of_an_earlier_commit_with_a_cold_bonus_in_it_is_resumed(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_in_validation(patch, after_epochs=3)
        with pytest.raises(Killed):
            trainer(experiment, chain_dataset, None).train(tmp_path / "state", "killed")
    state = read_tensors(tmp_path / "state")
    state["progress"]["cold_bonus"] = None
    write_tensors(tmp_path / "state", state)

    resumed = trainer(experiment, chain_dataset, None)
    resumed._resume(tmp_path / "state")

    assert resumed.progress.epoch == 3
