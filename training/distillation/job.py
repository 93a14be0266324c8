"""One student to be trained: what it is made from, and its way to a checkpoint."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.data.dataset import Dataset
from training.distillation.checkpoint import (
    Checkpoint,
    Description,
    checkpoint_name,
    load_checkpoint,
    save_checkpoint,
)
from training.distillation.controls import LISTS, shuffled_embeddings
from training.distillation.distributed import Processes, available_processes
from training.distillation.losses.candidates import answers_about, next_item_candidates
from training.distillation.losses.teacher_lists import RankingLists, ranking_lists
from training.distillation.trainer import Trainer, TrainingState
from training.distillation.variants import VARIANTS
from training.errors import CheckpointError, KnowledgeError
from training.knowledge import Knowledge, Summary
from training.settings.experiment import DistillationConfig, Experiment
from training.stage import fingerprint, is_current
from training.students.registry import build_student
from training.students.student import Student

RECIPE_VERSION = 5  # raise it when the same settings would train another student, or rank otherwise
COLD_VERSION = 5  # or when they would place cold items otherwise


@dataclass(frozen=True)
class Job:
    """A variant, a seed, and what the variant needs; a plain student has no `knowledge`.

    Of knowledge that is not here, its summary names the job, which then cannot be trained.
    """

    experiment: Experiment
    dataset: Dataset
    variant: str
    seed: int
    knowledge: Knowledge | Summary | None

    @property
    def name(self) -> str:
        """The name of its checkpoint."""
        return checkpoint_name(self.variant, self.seed)

    @property
    def settings(self) -> DistillationConfig:
        """What of the method is on."""
        return VARIANTS[self.variant].settings(self.experiment.distillation)

    @property
    def stamp(self) -> str:
        """The fingerprint of everything that decides the trained student."""
        return self._stamp(self.settings)

    @property
    def training_stamp(self) -> str:
        """The stamp of the job whose epochs are the same; a cold bonus comes after them."""
        return self._stamp(self.settings.model_copy(update={"cold_bonus": False}))

    def _stamp(self, settings: DistillationConfig) -> str:
        parts: list[object] = [
            RECIPE_VERSION,
            self.experiment.student.model_dump(),
            self.experiment.training.model_dump(exclude={"seeds"}),
            self.dataset.fingerprint,
            self.seed,
        ]
        if self.knowledge is not None:
            variant = VARIANTS[self.variant]
            unread = set() if settings.cold_bonus else {"cold_price"}
            parts += [settings.model_dump(exclude=unread), variant.lists]
            parts += [self.knowledge.taught_hash]
            parts += ["cold items", COLD_VERSION] if settings.cold_bonus else []
            parts += ["shuffled embeddings"] if variant.shuffled_embeddings else []
        return fingerprint(*parts)

    def run(self, checkpoints: Path) -> Checkpoint:
        """Trains, or goes on with a run that was killed, and publishes the checkpoint."""
        engine = available_processes()
        trainer = self.trainer(engine)
        progress = trainer.train(checkpoints / f".{self.name}.{self.stamp}.state", self.name)
        checkpoint = Checkpoint(self._described(progress), progress.best_state)
        if engine.rank == 0:
            save_checkpoint(checkpoint, checkpoints / self.name, self.stamp)
            for leftover in checkpoints.glob(f".{self.name}.*.state*"):
                leftover.unlink()
        engine.wait()
        return checkpoint

    def _described(self, progress: TrainingState) -> Description:
        return Description(
            student=self.experiment.student,
            variant=self.variant,
            seed=self.seed,
            dataset_fingerprint=self.dataset.fingerprint,
            embedding_weight=self.settings.embedding_weight,
            best_epoch=progress.best_epoch,
            cold_bonus=progress.cold_bonus,
            validation=progress.best_metrics,
            seconds=progress.seconds,
        )

    def trainer(self, engine: Processes | None = None) -> Trainer:
        """A trainer at epoch 0, by default on the CPU and alone."""
        return Trainer(
            self._fresh_student(),
            self.dataset,
            self.experiment.training,
            self.seed,
            self._lists(),
            engine,
            cold_price=self._cold_price,
        )

    @property
    def _cold_price(self) -> float | None:
        sees_titles = self.knowledge is not None and self.settings.embeddings
        return self.settings.cold_price if sees_titles and self.settings.cold_bonus else None

    def _fresh_student(self) -> Student:
        torch.manual_seed(self.seed)
        return build_student(
            self.experiment.student,
            self.dataset.catalog.num_rows,
            self._embeddings(),
            self.settings.embedding_weight,
            offset=self.settings.offset,
            offset_dropout=self.settings.offset_dropout,
            max_columns=self.settings.embedding_columns,
        )

    def refuse_no_teaching(self) -> None:
        """Tells before any epoch that what it would learn from is not here.

        Raises:
            KnowledgeError: there is but a summary, or no list where lists are to be learned from.
        """
        if self._content is None or self.settings.ranking_weight == 0:
            return
        if not self._content.num_lists:
            kind = self._content.provenance.get("teacher", "")
            raise KnowledgeError(
                f"the {kind} teacher has answered no training example: with "
                "teacher.budget_sequences = 0 it is compared and teaches no student"
            )

    @property
    def _content(self) -> Knowledge | None:
        if isinstance(self.knowledge, Summary):
            kind = self.knowledge.provenance.get("teacher", "")
            raise KnowledgeError(
                f"of the {kind} teacher's knowledge only a summary is here; make it again with "
                "`python -m training.teach`"
            )
        return self.knowledge

    def _embeddings(self) -> Tensor | None:
        knowledge = self._content
        if knowledge is None or not self.settings.embeddings:
            return None
        if VARIANTS[self.variant].shuffled_embeddings:
            return torch.from_numpy(shuffled_embeddings(knowledge, self.seed))
        return torch.from_numpy(knowledge.item_embeddings)

    def _lists(self) -> RankingLists | None:
        knowledge = self._content
        if knowledge is None or self.settings.ranking_weight == 0:
            return None
        self.refuse_no_teaching()
        make_lists = LISTS[VARIANTS[self.variant].lists]
        answers = make_lists(knowledge, self.dataset, self.seed)
        if self.settings.embeddings:
            among = next_item_candidates(self.dataset.train_counts(), only_trained=True)
            answers = answers_about(answers, among)
        return ranking_lists(answers, len(self.dataset.item_indices), self.settings)


def run_job(job: Job, folder: Path) -> Checkpoint:
    """`job.run(folder)`, as a function that another process can be told to call."""
    return job.run(folder)


def jobs_of(
    experiment: Experiment, dataset: Dataset, knowledge: Knowledge, variants: Iterable[str]
) -> Iterator[Job]:
    """The jobs of some variants, one for each seed of the experiment."""
    for variant in variants:
        learnt = knowledge if VARIANTS[variant].needs_teacher else None
        for seed in experiment.training.seeds:
            yield Job(experiment, dataset, variant, seed, learnt)


def current_checkpoints(jobs: Iterable[Job], folder: Path) -> list[Checkpoint]:
    """What `jobs` left in `folder`; checkpoints of other seeds or settings are passed over.

    Raises:
        CheckpointError: one is missing or was trained with other settings.
    """
    return [_current_checkpoint(job, folder / job.name) for job in jobs]


def _current_checkpoint(job: Job, folder: Path) -> Checkpoint:
    if not is_current(folder, job.stamp):
        raise CheckpointError(
            f"{folder}: missing or trained with other settings; run `python -m training.distill`"
        )
    return load_checkpoint(folder)
