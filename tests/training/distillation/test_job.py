from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.dataset import Dataset, Split
from training.distillation.after_training import cold_start, pair_fit
from training.distillation.after_training.pair_fit import PairSettings
from training.distillation.checkpoint import load_checkpoint
from training.distillation.distributed import SingleProcess
from training.distillation.job import Job
from training.distillation.trainer import Trainer
from training.distillation.variants import VARIANTS
from training.errors import KnowledgeError
from training.knowledge import Answers, Knowledge, Summary
from training.settings.experiment import DistillationConfig, Experiment
from training.stage import is_current

Change = Callable[[Job], Job]


@pytest.fixture
def job(experiment: Experiment, chain_dataset: Dataset, knowledge: Knowledge) -> Job:
    """A distilled student, to be trained for two epochs."""
    return Job(with_training(experiment, max_epochs=2), chain_dataset, "distilled", 0, knowledge)


def with_training(experiment: Experiment, **update: object) -> Experiment:
    training = experiment.training.model_copy(update=update)
    return experiment.model_copy(update={"training": training})


def with_distillation(job: Job, embedding_columns: int) -> Job:
    update = {"embedding_columns": embedding_columns}
    settings = job.experiment.distillation.model_copy(update=update)
    return replace(job, experiment=job.experiment.model_copy(update={"distillation": settings}))


def with_ranking_weight(job: Job, ranking_weight: float) -> Job:
    settings = job.experiment.distillation.model_copy(update={"ranking_weight": ranking_weight})
    return replace(job, experiment=job.experiment.model_copy(update={"distillation": settings}))


def with_other_list(job: Job) -> Job:
    assert isinstance(job.knowledge, Knowledge)
    answers = job.knowledge.train
    answers = replace(answers, rankings=answers.rankings[:, ::-1].copy())
    return replace(job, knowledge=replace(job.knowledge, train=answers))


def test_a_job_leaves_a_current_checkpoint_of_its_best_epoch_and_nothing_else(
    job: Job, tmp_path: Path
) -> None:
    checkpoint = job.run(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["distilled-0"]
    assert is_current(tmp_path / "distilled-0", job.stamp)
    loaded = load_checkpoint(tmp_path / "distilled-0")
    assert loaded.description == checkpoint.description
    history = torch.tensor([[1, 2]])
    assert torch.equal(loaded.student().score(history), checkpoint.student().score(history))


@pytest.mark.parametrize(
    "change",
    [
        lambda job: replace(job, seed=1),
        lambda job: replace(job, variant="plain", knowledge=None),
        lambda job: replace(job, dataset=replace(job.dataset, fingerprint="other")),
        lambda job: replace(job, experiment=with_training(job.experiment, learning_rate=0.5)),
        lambda job: with_ranking_weight(job, 0.125),
        with_other_list,
    ],
)
def test_everything_that_decides_the_student_changes_the_stamp(job: Job, change: Change) -> None:
    assert change(job).stamp != job.stamp


# Stamps of commit 871a529: docs/results/runs has runs under stamps of that time.
STAMPS_OF_ROWS_WITH_TITLES = {
    "embeddings-only": "46ff3ee64d555bd9",
    "distilled": "0dea55b9135c44df",
    "without-offset": "12d714d6d4c4e404",
    "with-cold-bonus": "eb2f236d0fd40eeb",
    "control-shuffled": "e998c43e81fd5e88",
    "control-title-neighbours": "e60f38a98af580c9",
    "control-shuffled-embeddings": "0870f8acf09d6e44",
}
FORMER_DEFAULTS = {
    "name": "pinned",
    "data": {"source": "movielens"},
    "teacher": {"kind": "retrieval"},
    "student": {"dropout": 0.2, "block": "pre-norm"},
    "training": {
        "learning_rate": 1e-3,
        "max_epochs": 30,
        "patience": 3,
        "averaged_epochs": 0.0,
        "pair_bonus": False,
    },
    "distillation": {
        "ranking_weight": 0.5,
        "position_temperature": 1.0,
        "confidence": False,
        "consistency": False,
    },
}
FORMER_STAMPS = {"plain": "94b1ff6f92a11f92", "ranking-only": "785eadd79ed7f8b3"}


def default_job(variant: str, dataset: Dataset) -> Job:
    experiment = Experiment.model_validate(FORMER_DEFAULTS)
    knowledge = Summary("taught", "content", 1, {}) if VARIANTS[variant].needs_teacher else None
    return Job(experiment, replace(dataset, fingerprint="f"), variant, 0, knowledge)


@pytest.mark.parametrize("variant", STAMPS_OF_ROWS_WITH_TITLES)
def test_stored_runs_with_titles_stay_valid(variant: str, chain_dataset: Dataset) -> None:
    job = default_job(variant, chain_dataset)

    assert job.stamp == job.former_stamp == STAMPS_OF_ROWS_WITH_TITLES[variant]


@pytest.mark.parametrize("variant", FORMER_STAMPS)
def test_stored_runs_without_titles_are_known_by_their_former_stamp_only(
    variant: str, chain_dataset: Dataset
) -> None:
    job = default_job(variant, chain_dataset)

    assert job.former_stamp == FORMER_STAMPS[variant]
    assert job.stamp != job.former_stamp


@pytest.mark.parametrize("variant", ["plain", "ranking-only", "distilled"])
def test_only_a_student_with_titles_reads_cold_items(job: Job, variant: str) -> None:
    """Items 1 to 3 of the ring have training interactions here, the others have none."""
    splits = np.where(job.dataset.item_indices > 3, Split.HISTORY, job.dataset.splits)
    dataset = replace(job.dataset, splits=splits.astype(np.uint8))
    knowledge = job.knowledge if VARIANTS[variant].needs_teacher else None

    student = replace(job, dataset=dataset, variant=variant, knowledge=knowledge).trainer().student

    readable = student.item_table.readable
    expected = None if variant == "distilled" else [False] + [True] * 3 + [False] * 9
    assert (None if readable is None else readable.tolist()) == expected


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("plain-")])
def test_a_student_of_every_variant_without_a_teacher_can_be_trained_and_loaded(
    job: Job, variant: str, tmp_path: Path
) -> None:
    untaught = replace(job, variant=variant, knowledge=None)

    checkpoint = untaught.run(tmp_path)

    loaded = load_checkpoint(tmp_path / untaught.name).student()
    history = torch.tensor([[1, 2]])
    assert torch.equal(loaded.score(history), checkpoint.student().score(history))
    assert loaded.item_table.readable is not None
    assert untaught.stamp != replace(untaught, variant="plain").stamp


def test_random_features_are_fixed_by_the_seed_and_spread_like_embeddings(job: Job) -> None:
    wide = with_distillation(replace(job, variant="plain-random-features", knowledge=None), 64)

    tables = [replace(wide, seed=seed).trainer().student.item_table for seed in (0, 0, 1)]

    first, again, other = (table.embeddings for table in tables)
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (12, 64)
    assert first.square().sum(dim=1).mean().item() == pytest.approx(1)
    assert not tables[0].offsets.any()


def test_what_random_features_are_read_with_decides_the_student(job: Job) -> None:
    random = replace(job, variant="plain-random-features", knowledge=None)
    plain = replace(job, variant="plain", knowledge=None)

    assert with_distillation(random, 3).stamp != random.stamp
    assert with_distillation(plain, 3).stamp == plain.stamp


def test_a_cold_bonus_changes_the_stamp_and_not_the_training_stamp(job: Job) -> None:
    with_bonus = replace(job, variant="with-cold-bonus")

    assert with_bonus.stamp != job.stamp
    assert with_bonus.training_stamp == job.training_stamp == job.stamp


def test_settings_that_do_not_decide_the_student_leave_the_stamp(job: Job) -> None:
    more_seeds = replace(job, experiment=with_training(job.experiment, seeds=(0, 1, 2, 3)))
    teacher_free = replace(job, variant="plain", knowledge=None)

    assert more_seeds.stamp == job.stamp
    assert with_ranking_weight(teacher_free, 0.125).stamp == teacher_free.stamp


def test_a_state_left_by_other_settings_is_not_resumed(job: Job, tmp_path: Path) -> None:
    (tmp_path / ".distilled-0.another-stamp.state").write_bytes(b"not to be read")

    job.run(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["distilled-0"]


def test_without_a_ranking_weight_the_lists_stay_out_of_the_loss(job: Job) -> None:
    assert job.trainer().objective.lists is not None
    assert with_ranking_weight(job, 0).trainer().objective.lists is None


def test_a_teacher_without_training_answers_is_refused_where_lists_are_learned(job: Job) -> None:
    assert isinstance(job.knowledge, Knowledge)
    nothing = Answers(*(each[:0] for each in vars(job.knowledge.train).values()))
    unanswered = replace(job, knowledge=replace(job.knowledge, train=nothing))
    with pytest.raises(KnowledgeError, match="answered no training example"):
        unanswered.trainer()
    assert replace(unanswered, variant="embeddings-only").trainer().objective.lists is None


def test_a_summary_of_knowledge_gives_the_stamp_and_cannot_train(job: Job) -> None:
    assert isinstance(job.knowledge, Knowledge)
    with_summary = replace(job, knowledge=job.knowledge.summary)

    assert with_summary.stamp == job.stamp
    assert with_summary.training_stamp == job.training_stamp
    with pytest.raises(KnowledgeError, match="only a summary is here"):
        with_summary.trainer()


@pytest.mark.parametrize(
    ("variant", "cold_bonus", "places"),
    [
        ("distilled", False, False),
        ("distilled", True, True),
        ("with-cold-bonus", False, True),
        ("embeddings-only", True, True),
        ("ranking-only", True, False),  # its items have no titles to be placed by
        ("plain", True, False),
    ],
)
def test_cold_items_are_placed_once_after_training_if_that_is_on_and_titles_are_read(
    job: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    cold_bonus: bool,
    places: bool,
) -> None:
    placed: list[tuple[int, float]] = []

    def place(trainer: Trainer, settings: DistillationConfig) -> float:
        placed.append((trainer.progress.epoch, settings.cold_price))
        return 0.25

    monkeypatch.setattr(cold_start, "place_after_training", place)
    update = {"cold_bonus": cold_bonus, "cold_price": 0.125}
    distillation = job.experiment.distillation.model_copy(update=update)
    experiment = job.experiment.model_copy(update={"distillation": distillation})
    job = replace(job, experiment=experiment, variant=variant)

    trained = job.train(tmp_path / "state", job.name, SingleProcess(torch.device("cpu")))

    assert placed == ([(2, 0.125)] if places else [])
    assert trained.cold_bonus == (0.25 if places else None)


def test_cold_items_are_placed_among_scores_that_the_pair_bonus_has_raised(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    had_bonus: list[bool] = []

    def place(trainer: Trainer, _: DistillationConfig) -> None:
        had_bonus.append(trainer.student.pair_bonus is not None)

    def add(trainer: Trainer) -> PairSettings:
        trainer.student.pair_bonus = pair_fit.bonus_of(trainer.dataset, pair_fit.START)
        return pair_fit.START

    monkeypatch.setattr(cold_start, "place_after_training", place)
    monkeypatch.setattr(pair_fit, "add_after_training", add)
    experiment = with_training(job.experiment, pair_bonus=True)
    both = replace(job, experiment=experiment, variant="with-cold-bonus")

    both.train(tmp_path / "state", both.name, SingleProcess(torch.device("cpu")))

    assert had_bonus == [True]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cold_price", 0.1),
        ("cold_steps", 30),
        ("cold_offset_rate", 0.01),
        ("cold_projection_rate", 0.01),
    ],
)
def test_settings_of_placing_enter_the_stamp_only_if_cold_items_are_placed(
    job: Job, name: str, value: float
) -> None:
    changed = job.experiment.distillation.model_copy(update={name: value})
    other = replace(job, experiment=job.experiment.model_copy(update={"distillation": changed}))
    for variant, places in (("distilled", False), ("with-cold-bonus", True)):
        stamps = {replace(each, variant=variant).stamp for each in (job, other)}
        assert (len(stamps) == 2) is places
        assert (
            replace(job, variant=variant).training_stamp == replace(job, variant="distilled").stamp
        )
