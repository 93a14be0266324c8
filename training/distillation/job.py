"""Jobs: the training of one student, from settings and knowledge to a checkpoint."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from training.data.dataset import Dataset, Protocol
from training.distillation.after_training import cold_start, pair_fit
from training.distillation.after_training.pair_fit import PairSettings
from training.distillation.checkpoint import (
    Checkpoint,
    Description,
    checkpoint_name,
    save_checkpoint,
)
from training.distillation.controls import LISTS, shuffled_embeddings
from training.distillation.distributed import Processes, available_processes
from training.distillation.losses.candidates import answers_among, next_item_candidates
from training.distillation.losses.teacher_lists import RankingLists, ranking_lists
from training.distillation.refit import Refit
from training.distillation.trainer import Trainer, TrainingState
from training.distillation.variants import VARIANTS
from training.errors import TEACH, KnowledgeError
from training.knowledge import Knowledge, Summary
from training.settings.experiment import DistillationConfig, Experiment, TrainingConfig
from training.stage import fingerprint
from training.students.pair_bonus import MAX_ITEMS
from training.students.registry import build_student
from training.students.student import Student

# Increment when a code change trains another student, or ranks differently, for unchanged settings.
RECIPE_VERSION = 5


@dataclass(frozen=True)
class TrainedStudent:
    """A trained student with the weights of its best epoch.

    Attributes:
        student: the student. Its cold items are placed if `cold_bonus` is not None.
        progress: epochs, metrics and seconds of the training.
        cold_bonus: mean amount added to the scores of cold items; None if they were not placed.
        pairs: settings of the pair bonus; None without one.
    """

    student: Student
    progress: TrainingState
    cold_bonus: float | None
    pairs: PairSettings | None = None


@dataclass(frozen=True)
class Job:
    """The training of one student: a method variant with one seed.

    Attributes:
        experiment: settings of student, training and distillation.
        dataset: the dataset to train and validate on; for a refit, a view to train on.
        variant: name of the method variant, a key of `VARIANTS`.
        seed: random seed of the training.
        knowledge: the teacher's knowledge; None for a variant without a teacher. A `Summary` is
            enough to compute the stamp, and so to find stored results, but not to train.
        refit: settings that only a refit has; None for a training with validation.
    """

    experiment: Experiment
    dataset: Dataset
    variant: str
    seed: int
    knowledge: Knowledge | Summary | None
    refit: Refit | None = None

    @property
    def protocol(self) -> Protocol:
        """The rows that the student is trained on: "train", "refit" or "refit-all"."""
        return self.refit.protocol if self.refit else "train"

    @property
    def name(self) -> str:
        """Name of the checkpoint's folder: `VARIANT-SEED`; for a refit `VARIANT-SEED-PROTOCOL`."""
        return checkpoint_name(self.variant, self.seed, self.protocol)

    def refitted(
        self,
        protocol: Protocol,
        epochs: int,
        cold_bonus: float | None = None,
        source: Path | None = None,
        pairs: PairSettings | None = None,
    ) -> "Job":
        """Returns the job that refits the student of this job.

        Args:
            protocol: the rows to train the refit on, "refit" or "refit-all".
            epochs: number of epochs to train: the number of this job's best epoch.
            cold_bonus: the bonus that this job chose for cold items; None if they are not placed.
            source: folder of this job's checkpoint; required with a cold bonus.
            pairs: settings of the pair bonus that this job chose; None without one.
        """
        refit = Refit(protocol, self.dataset, epochs, cold_bonus, source, pairs)
        knowledge = None if self.knowledge is None else self.knowledge.under(protocol)
        view = self.dataset.under(protocol)
        return replace(self, dataset=view, knowledge=knowledge, refit=refit)

    @property
    def settings(self) -> DistillationConfig:
        """The experiment's distillation settings with the variant's parts switched on and off."""
        return VARIANTS[self.variant].settings(self.experiment.distillation)

    @property
    def training(self) -> TrainingConfig:
        """The experiment's training settings with the variant's parts switched on.

        The pair bonus is off for a catalog that is too large for it.
        """
        settings = VARIANTS[self.variant].training_settings(self.experiment)
        if self.dataset.catalog.num_items <= MAX_ITEMS:
            return settings
        return settings.model_copy(update={"pair_bonus": False})

    @property
    def stamp(self) -> str:
        """Hash of everything that decides the trained student."""
        return self._stamp(self.settings, self.training)

    @property
    def training_stamp(self) -> str:
        """Hash of everything that decides the trained weights, before what is fitted after them.

        Jobs that differ only in the placing of cold items and in the pair bonus have the same
        training stamp.
        """
        return self._stamp(
            self.settings.model_copy(update={"cold_bonus": False}),
            self.training.model_copy(update={"pair_bonus": False}),
        )

    @property
    def former_stamp(self) -> str:
        """Stamp of this job in an earlier version.

        There a pair bonus had another search, and a student without titles read all items.
        """
        return self._stamp(self.settings, self.training, is_former=True)

    @property
    def reads_titles(self) -> bool:
        """Whether item vectors contain title embeddings, so that the student reads every item."""
        return self.knowledge is not None and self.settings.embeddings

    @property
    def places_cold_items(self) -> bool:
        """Whether cold items are placed after training, by their titles."""
        return self.reads_titles and self.settings.cold_bonus

    @property
    def has_random_features(self) -> bool:
        """Whether item vectors contain projected random features in place of title embeddings."""
        return self.training.random_features and not self.reads_titles

    @property
    def has_trained_candidates(self) -> bool:
        """Whether the losses compare only items with a training interaction."""
        has_features = self.reads_titles or self.has_random_features
        return has_features or self.training.trained_candidates

    def _stamp(
        self, settings: DistillationConfig, training: TrainingConfig, *, is_former: bool = False
    ) -> str:
        parts: list[object] = [
            RECIPE_VERSION,
            self.experiment.student.fingerprint_content(),
            training.fingerprint_content(exclude={"seeds"}),
            self.dataset.fingerprint,
            self.seed,
        ]
        if self.knowledge is not None:
            variant = VARIANTS[self.variant]
            read_settings = settings.fingerprint_content(cold_start.unread_settings(settings))
            parts += [read_settings, variant.lists]
            parts += [self.knowledge.taught_hash]
            parts += cold_start.stamp_parts(settings)
            parts += ["shuffled embeddings"] if variant.shuffled_embeddings else []
        if not self.reads_titles and (training.pair_bonus or not is_former):
            parts.append("reads warm items")
        if self.has_random_features:
            parts += [settings.embedding_weight, settings.embedding_columns]
            parts += [settings.offset_dropout]
        if training.pair_bonus:
            parts += pair_fit.stamp_parts(
                precedes_cold_items=self.places_cold_items, is_former=is_former
            )
        if self.refit is not None:
            parts += self.refit.stamp_parts(
                places_cold=settings.cold_bonus, has_pairs=training.pair_bonus
            )
        return fingerprint(*parts)

    def run(self, checkpoints: Path) -> Checkpoint:
        """Trains the student, writes its checkpoint to `checkpoints / self.name`, and returns it.

        If an earlier run was killed, training resumes after the last finished epoch of that run.
        """
        processes = available_processes()
        state_path = checkpoints / f".{self.name}.{self.training_stamp}.state"
        trained = self.train(state_path, self.name, processes)
        checkpoint = self.checkpoint_of(trained)
        if processes.rank == 0:
            save_checkpoint(checkpoint, checkpoints / self.name, self.stamp)
            for leftover in checkpoints.glob(f".{self.name}.*.state*"):
                leftover.unlink()
        processes.wait()
        return checkpoint

    def train(self, state_path: Path, label: str, processes: Processes) -> TrainedStudent:
        """Trains the student, then fits what the settings ask for after training.

        The pairs of items are counted if `training.pair_bonus` is on. Then cold items, which have
        no pairs, are placed among the raised scores: see `places_cold_items`.

        Args:
            state_path: file of the training state. It is written after every epoch; if it exists,
                training resumes from it.
            label: text before the progress bar.
            processes: the processes that each batch is divided among.
        """
        trainer = self.trainer(processes)
        progress = trainer.train(state_path, label)
        pairs = self._add_pairs(trainer) if self.training.pair_bonus else None
        bonus = self._place_cold_items(trainer) if self.places_cold_items else None
        return TrainedStudent(trainer.student, progress, bonus, pairs)

    def _add_pairs(self, trainer: Trainer) -> PairSettings | None:
        if self.refit:
            return self.refit.add_pairs_after_training(trainer)
        return pair_fit.add_after_training(trainer)

    def _place_cold_items(self, trainer: Trainer) -> float | None:
        if self.refit:
            return self.refit.place_after_training(trainer)
        return cold_start.place_after_training(trainer, self.settings)

    def trainer(self, processes: Processes | None = None) -> Trainer:
        """Makes the trainer of the job, with an untrained student.

        Each batch is divided among `processes`; None trains in this process on the CPU.
        """
        return Trainer(
            self._initial_student(),
            self.dataset,
            self.training,
            self.seed,
            self._lists(),
            processes,
            self.refit.epochs if self.refit else None,
        )

    def refuse_missing_answers(self) -> None:
        """Checks that the knowledge has the answers that the variant learns from.

        Raises:
            KnowledgeError: the knowledge is a summary without answers, or the variant learns from
                ranking lists and the teacher answered no training example.
        """
        if self._present_knowledge is None or self.settings.ranking_weight == 0:
            return
        if not self._present_knowledge.num_lists:
            kind = self._present_knowledge.provenance.get("teacher", "")
            raise KnowledgeError(
                f"the {kind} teacher has answered no training example, so no student can learn its "
                "ranking lists; raise teacher.budget_sequences or leave this variant out"
            )

    @property
    def _present_knowledge(self) -> Knowledge | None:
        if isinstance(self.knowledge, Summary):
            kind = self.knowledge.provenance.get("teacher", "")
            raise KnowledgeError(
                f"the {kind} teacher's knowledge: only a summary is here, which cannot be learned "
                f"from; make the knowledge again with {TEACH}"
            )
        return self.knowledge

    @property
    def _readable(self) -> Tensor | None:
        return None if self.reads_titles else torch.from_numpy(self.dataset.warm_items())

    def _initial_student(self) -> Student:
        torch.manual_seed(self.seed)
        return build_student(
            self.experiment.student,
            self.dataset.catalog.num_rows,
            self._embeddings(),
            self.settings.embedding_weight,
            offset=self.settings.offset,
            offset_dropout=self.settings.offset_dropout,
            max_columns=self.settings.embedding_columns,
            readable=self._readable,
        )

    def _embeddings(self) -> Tensor | None:
        knowledge = self._present_knowledge
        if knowledge is None or not self.settings.embeddings:
            return self._random_features() if self.has_random_features else None
        if VARIANTS[self.variant].shuffled_embeddings:
            return torch.from_numpy(shuffled_embeddings(knowledge, self.seed))
        return torch.from_numpy(knowledge.item_embeddings)

    def _random_features(self) -> Tensor:
        """Draws Gaussian features in place of embeddings, `[catalog rows, embedding_columns]`.

        The item table standardises features and embeddings, so both have the same variance.
        """
        shape = self.dataset.catalog.num_rows, self.settings.embedding_columns
        return torch.randn(shape, generator=torch.Generator().manual_seed(self.seed))

    def _lists(self) -> RankingLists | None:
        knowledge = self._present_knowledge
        if knowledge is None or self.settings.ranking_weight == 0:
            return None
        self.refuse_missing_answers()
        make_lists = LISTS[VARIANTS[self.variant].lists]
        answers = make_lists(knowledge, self.dataset, self.seed)
        if self.has_trained_candidates:
            candidates = next_item_candidates(self.dataset.train_counts(), only_trained=True)
            answers = answers_among(answers, candidates)
        return ranking_lists(answers, len(self.dataset.item_indices), self.settings)

    def checkpoint_of(self, trained: TrainedStudent) -> Checkpoint:
        """Makes the checkpoint of a student that this job has trained; writes nothing."""
        progress = trained.progress
        description = Description(
            student=self.experiment.student,
            variant=self.variant,
            seed=self.seed,
            dataset_fingerprint=self.dataset.fingerprint,
            embedding_weight=self.settings.embedding_weight,
            best_epoch=progress.best_epoch,
            cold_bonus=trained.cold_bonus,
            pairs=asdict(trained.pairs) if trained.pairs else {},
            validation=progress.best_metrics,
            seconds=progress.seconds,
            protocol=self.protocol,
        )
        return Checkpoint(description, progress.best_state)
