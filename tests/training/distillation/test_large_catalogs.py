"""Training whose steps do not grow with the catalog, and validation on a part of the examples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.distillation.test_trainer import trainer
from training.data.dataset import Dataset, Split
from training.distillation.distributed import SingleProcess
from training.distillation.job import Job
from training.errors import ConfigError
from training.evaluation import yardstick
from training.knowledge import Knowledge
from training.settings.experiment import Experiment, TrainingConfig


def with_training(experiment: Experiment, **changes: object) -> Experiment:
    training = TrainingConfig.model_validate(experiment.training.model_dump() | changes)
    return experiment.model_copy(update={"training": training})


@pytest.fixture
def sparse(experiment: Experiment) -> Experiment:
    """Scores a third of the candidates and the items of the batch, and changes only those."""
    return with_training(experiment, scored_share=0.34, touched_rows=True, batch_size=1)


@pytest.mark.parametrize("with_teacher", [False, True])
def test_a_step_changes_only_the_vectors_of_its_items(
    sparse: Experiment, chain_dataset: Dataset, knowledge: Knowledge, with_teacher: bool
) -> None:
    learner = trainer(sparse, chain_dataset, knowledge if with_teacher else None)
    before = learner.student.item_table.offsets.detach().clone()
    for batch in learner.windows.epoch(0, 0)[:2]:
        learner.step(batch)
    changed = (learner.student.item_table.offsets.detach() != before).any(dim=1)

    assert 0 < changed.sum() < len(changed)


def test_a_student_of_touched_rows_learns_as_one_of_all_rows_does(
    sparse: Experiment, experiment: Experiment, chain_dataset: Dataset, tmp_path: Path
) -> None:
    """An obvious pattern: the next item follows from the last one."""
    metrics = []
    for name, each in (("touched", sparse), ("all", experiment)):
        progress = trainer(each, chain_dataset, None).train(tmp_path / name, name)
        metrics.append(progress.best_metrics["HR@1"])

    assert metrics == [1, 1]


def test_a_resumed_run_of_touched_rows_ends_with_the_same_bits(
    sparse: Experiment, chain_dataset: Dataset, knowledge: Knowledge, tmp_path: Path
) -> None:
    whole = trainer(with_training(sparse, max_epochs=3), chain_dataset, knowledge)
    whole.train(tmp_path / "whole", "whole")

    trainer(with_training(sparse, max_epochs=1), chain_dataset, knowledge).train(
        tmp_path / "state", "first epoch"
    )
    resumed = trainer(with_training(sparse, max_epochs=3), chain_dataset, knowledge)
    resumed.train(tmp_path / "state", "resumed")

    for name, weights in whole.progress.best_state.items():
        assert torch.equal(resumed.progress.best_state[name], weights), name


def test_a_part_of_the_validation_examples_is_the_same_for_every_seed(
    experiment: Experiment, chain_dataset: Dataset
) -> None:
    every = chain_dataset.example_rows(Split.VALIDATION)
    few = with_training(experiment, validation_examples=len(every) // 2)
    first, second = (trainer(few, chain_dataset, None) for _ in range(2))
    second.seed = 7

    rows = first.validation_rows
    assert len(rows) == len(every) // 2
    assert set(rows) < set(every)
    assert np.array_equal(rows, second.validation_rows)


def test_more_validation_examples_than_there_are_means_all_of_them(
    experiment: Experiment, chain_dataset: Dataset
) -> None:
    every = chain_dataset.example_rows(Split.VALIDATION)
    many = with_training(experiment, validation_examples=len(every) + 1)

    assert trainer(many, chain_dataset, None).validation_rows.tolist() == every.tolist()


def test_examples_are_ranked_fewer_at_once_when_the_catalog_is_large(
    chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """13 catalog rows: two examples have 26 scores, three have 39."""
    assert yardstick.batch_size(chain_dataset) == 512
    monkeypatch.setattr(yardstick, "MAX_SCORES", 38)
    assert yardstick.batch_size(chain_dataset) == 2
    monkeypatch.setattr(yardstick, "MAX_SCORES", 1)
    assert yardstick.batch_size(chain_dataset) == 1


def test_a_batch_without_items_to_predict_changes_nothing(
    sparse: Experiment, chain_dataset: Dataset
) -> None:
    learner = trainer(sparse, chain_dataset, None)
    before = {name: each.clone() for name, each in learner.student.state_dict().items()}
    batch = learner.windows.epoch(0, 0)[0]

    learner.step(replace(batch, next_items=torch.zeros_like(batch.next_items)))

    after = learner.student.state_dict()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_several_processes_are_refused_with_touched_rows(
    sparse: Experiment, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = SingleProcess(torch.device("cpu"))
    monkeypatch.setattr(processes, "num_ranks", 2)

    with pytest.raises(ConfigError, match="touched_rows: needs one process"):
        Job(sparse, chain_dataset, "plain", 0, None).trainer(processes)
