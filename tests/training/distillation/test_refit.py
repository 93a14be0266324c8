"""A refit learns held-out rows too, for the epochs that validation chose, and chooses nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.distillation.conftest import COLD
from training.data.dataset import Dataset, Protocol, Split
from training.distillation import refit as refits
from training.distillation.after_training.cold_fit import place_by_donors
from training.distillation.after_training.cold_start import donors_among
from training.distillation.best_refits import refits_of_best
from training.distillation.checkpoint import Checkpoint, Description, save_checkpoint
from training.distillation.distributed import SingleProcess
from training.distillation.job import Job
from training.distillation.refit import Refit, rotation
from training.distillation.trainer import Trainer
from training.evaluation.yardstick import evaluate, ranker_of
from training.knowledge import Knowledge
from training.progress import ProgressBar
from training.settings.experiment import Experiment, TrainingConfig
from training.students.item_table import ItemTable
from training.students.scorer import StudentScorer
from training.students.student import Student

HERE = SingleProcess(torch.device("cpu"))


class Killed(BaseException):
    """Ends a run at once, like a signal."""


@pytest.fixture
def job(experiment: Experiment, chain_dataset: Dataset, knowledge: Knowledge) -> Job:
    """A distilled student of the chain."""
    return Job(experiment, chain_dataset, "distilled", 0, knowledge)


def test_a_refit_trains_for_the_given_epochs_and_validates_none_of_them(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Trainer, "validate")

    trained = job.refitted("refit", 3).train(tmp_path / "state", "refit", HERE)

    assert (trained.progress.epoch, trained.progress.best_epoch) == (3, 3)
    assert trained.progress.best_metrics == {}
    last = trained.student.state_dict()
    assert all(torch.equal(last[name], each) for name, each in trained.progress.best_state.items())


def test_the_bar_of_a_refit_ends_with_its_last_epoch(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[float, float, str]] = []
    bars: list[ProgressBar] = []

    def watched(label: str, total: float, unit: str, *, done: float, shown: bool) -> ProgressBar:
        begun.append((done, total, unit))
        bars.append(ProgressBar(label, total, unit, done=done, shown=shown))
        return bars[-1]

    monkeypatch.setattr("training.distillation.trainer.ProgressBar", watched)
    job.refitted("refit", 2).train(tmp_path / "state", "refit", HERE)

    assert begun == [(0, 2, "epoch")]
    assert [bar.done for bar in bars] == [2]


def test_a_refit_learns_what_only_validation_shows(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path
) -> None:
    """In training the next item follows on the ring, in validation the seventh after the last."""
    items = chain_dataset.item_indices.copy()
    rows = chain_dataset.example_rows(Split.VALIDATION)
    items[rows] = (items[rows] + 5) % 12 + 1
    dataset = replace(chain_dataset, item_indices=items)
    job = Job(experiment, dataset, "plain", 0, None)
    figures = []
    for each in (job, job.refitted("refit", 8)):
        trained = each.train(tmp_path / each.stamp, "", HERE)
        ranker = ranker_of(StudentScorer(trained.student, dataset), dataset)
        figures.append(evaluate(ranker, dataset, rows).metrics["HR@5"])

    assert figures[0] < 0.75 < figures[1]


@pytest.mark.parametrize("after_epochs", [1, 2])
def test_a_killed_and_resumed_refit_ends_with_the_same_bits(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_epochs: int
) -> None:
    refit = job.refitted("refit-all", 3)
    whole = refit.train(tmp_path / "whole", "whole", HERE)
    step = Trainer.step

    def dying(self: Trainer, batch: object) -> None:
        if self.progress.epoch == after_epochs:
            raise Killed
        step(self, batch)  # type: ignore[arg-type]  # passed on

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", dying)
        with pytest.raises(Killed):
            refit.train(tmp_path / "state", "killed", HERE)
    torch.rand(5)  # another process would not have these random numbers
    resumed = refit.train(tmp_path / "state", "resumed", HERE)

    assert resumed.progress.best_epoch == 3
    for name, weights in whole.progress.best_state.items():
        assert torch.equal(resumed.progress.best_state[name], weights), name


def test_a_list_teaches_training_rows_and_no_held_out_row_of_a_refit(job: Job) -> None:
    """The teacher has answered validation examples as well; these answers are for evaluation."""
    lists = job.refitted("refit-all", 1).trainer().objective.lists
    assert lists is not None
    taught = np.flatnonzero(lists.list_of_row.numpy() > 0)
    assert taught.tolist() == job.dataset.example_rows(Split.TRAIN).tolist()


def test_a_refit_has_a_stamp_of_its_own_and_leaves_those_of_other_runs(job: Job) -> None:
    """The first is a literal, since another stamp would orphan all kept runs."""
    stamps = {
        job.stamp,
        *(job.refitted(protocol, 3).stamp for protocol in ("refit", "refit-all")),
        job.refitted("refit", 4).stamp,
    }
    assert len(stamps) == 4
    assert job.stamp == "dcf02c91f7692bd8"
    with_bonus = replace(job, variant="with-cold-bonus")
    assert with_bonus.refitted("refit", 3, 0.5).stamp != with_bonus.refitted("refit", 3, 1.0).stamp
    assert with_bonus.refitted("refit", 3, 0.5).training_stamp == job.refitted("refit", 3).stamp


def test_the_best_distilled_student_on_validation_is_refitted_for_its_epochs(
    job: Job, tmp_path: Path
) -> None:
    jobs = [job, replace(job, seed=1), replace(job, variant="plain", knowledge=None)]
    for each, ndcg, epochs in zip(jobs, (0.1, 0.3, 0.9), (2, 5, 7), strict=True):
        trained = each.trainer()
        trained.progress.keep(trained.student, {"NDCG@20": ndcg})
        trained.progress.best_epoch = epochs
        checkpoint = Checkpoint(described(each, epochs, ndcg), trained.progress.best_state)
        save_checkpoint(checkpoint, tmp_path / each.name, each.stamp)

    found = refits_of_best(jobs[:2], tmp_path)

    assert [each.name for each in found.values()] == ["distilled-1-refit", "distilled-1-refit-all"]
    assert {each.refit and each.refit.epochs for each in found.values()} == {5}


def described(job: Job, epochs: int, ndcg: float) -> Description:
    return Description(
        student=job.experiment.student,
        variant=job.variant,
        seed=job.seed,
        dataset_fingerprint=job.dataset.fingerprint,
        embedding_weight=1.0,
        best_epoch=epochs,
        validation={"NDCG@20": ndcg},
        seconds=0.0,
    )


def test_a_checkpoint_of_a_refit_says_what_it_learned(job: Job, tmp_path: Path) -> None:
    checkpoint = job.refitted("refit", 1).run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["distilled-0-refit"]
    assert checkpoint.name == "distilled-0-refit"
    assert checkpoint.description.protocol == "refit"
    assert checkpoint.description.validation == {}


def tables() -> tuple[ItemTable, ItemTable]:
    """Three items, and the same turned by a quarter to the left, except for the last one."""
    before, after = ItemTable(4, 2), ItemTable(4, 2)
    before.offsets.data = torch.tensor([[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    after.offsets.data = torch.tensor([[0.0, 1.0], [-2.0, 0.0], [5.0, 5.0]])
    return before, after


def test_the_rotation_turns_the_items_of_one_table_onto_those_of_the_other() -> None:
    turn = rotation(*tables(), torch.tensor([True, True, False]))
    torch.testing.assert_close(turn, torch.tensor([[0.0, -1.0], [1.0, 0.0]]))


@pytest.mark.parametrize(
    ("protocol", "current"),
    [("refit", [False, True, True, True, False]), ("refit-all", [True, False, True, True, True])],
)
def test_items_in_demand_are_those_of_the_last_rows_that_are_learnt(
    tiny_dataset: Dataset, protocol: Protocol, current: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before test, ann took c and d and bob took b and c; with test, ann d and a, bob c and e."""
    monkeypatch.setattr("training.distillation.after_training.cold_start.MIN_HOLDERS", 1)
    found = Refit(protocol, tiny_dataset, 1).current_items(tiny_dataset.under(protocol))
    assert found.tolist() == current


@pytest.fixture
def placed(walker: Student, tmp_path: Path) -> Path:
    """The checkpoint of a student whose cold items are placed, in axes of its own."""
    walker.item_table.offsets.data.normal_(std=0.5)
    projection = torch.randn(8, walker.item_table.columns_of(COLD).shape[1])
    walker.item_table.place_cold_items(COLD, ~COLD, torch.randn(8), projection)
    description = Description(
        student={"hidden_size": 8},
        variant="with-cold-bonus",
        seed=0,
        dataset_fingerprint="",
        embedding_weight=1.0,
        best_epoch=1,
        cold_bonus=0.75,
        validation={},
        seconds=0.0,
    )
    save_checkpoint(Checkpoint(description, walker.state_dict()), tmp_path / "placed", "stamp")
    return tmp_path / "placed"


def place(student: Student, dataset: Dataset, placed: Path, bonus: float | None) -> float | None:
    view = dataset.under("refit")
    trainer = Trainer(student, view, TrainingConfig(), seed=0, num_epochs=1)
    return Refit("refit", dataset, 1, bonus, placed).place_after_training(trainer)


def test_the_carried_cold_bonus_is_what_it_adds_to_scores_of_untouched_items(
    walker: Student, placed: Path, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refits, "untouched_items", lambda *_: COLD)
    torch.manual_seed(1)
    walker.item_table.offsets.data.normal_(std=0.5)
    view, rows = chain_dataset.under("refit"), chain_dataset.example_rows(Split.VALIDATION)
    donors = donors_among(Refit("refit", chain_dataset, 1).current_items(view), COLD)
    query_vectors = place_by_donors(walker, view, rows, COLD, donors)

    assert place(walker, chain_dataset, placed, 0.75) == 0.75

    cold, table = walker.item_table.cold_items, walker.item_table
    assert cold.projection is not None
    shared = cold.offset + table.columns_of(COLD) @ cold.projection.T
    assert float((query_vectors @ shared.T).mean()) == pytest.approx(0.75, abs=0.01)


def test_a_student_that_came_out_the_same_gets_the_projection_of_the_validation_run(
    walker: Student, placed: Path, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refits, "untouched_items", lambda *_: COLD)
    before = walker.item_table.cold_items.projection
    assert before is not None

    place(walker, chain_dataset, placed, 0.75)

    after = walker.item_table.cold_items.projection
    assert after is not None
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def test_items_that_validation_shows_are_learnt_and_not_placed(
    tiny_dataset: Dataset, student: Student, placed: Path
) -> None:
    """Only e, of bob's test row, is untouched; where test rows are learnt too, nothing is."""
    view = tiny_dataset.under("refit-all")
    trainer = Trainer(student, view, TrainingConfig(), seed=0, num_epochs=1)
    before = student.item_table.offsets.detach().clone()
    refit = Refit("refit-all", tiny_dataset, 1, 0.75, placed)

    assert refit.place_after_training(trainer) is None
    assert torch.equal(student.item_table.offsets, before)


def test_where_validation_placed_nothing_a_refit_places_nothing(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refits, "untouched_items", lambda *_: COLD)
    before = walker.item_table.offsets.detach().clone()
    trainer = Trainer(walker, chain_dataset.under("refit"), TrainingConfig(), seed=0, num_epochs=1)
    assert Refit("refit", chain_dataset, 1).place_after_training(trainer) is None
    assert torch.equal(walker.item_table.offsets, before)
