"""The training loop of one student; validation NDCG@20 chooses the best epoch.

A refit has a fixed number of epochs and no validation: the last epoch counts as the best one. With
`training.averaged_epochs`, the moving average of the weights is validated and kept.

A killed run can be resumed. The random numbers of an epoch depend only on the seed and the epoch.
So on a CPU, a resumed run ends with exactly the weights of an uninterrupted run.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.compute.catalog_softmax import matmul_precision
from training.compute.optimiser import optimiser_of
from training.compute.tensor_file import read_tensors, write_tensors
from training.compute.weight_average import WeightAverage
from training.data.dataset import Dataset, Split
from training.distillation.batches import Batch, TrainingWindows
from training.distillation.distributed import Processes, SingleProcess
from training.distillation.losses.candidates import Candidates, next_item_candidates
from training.distillation.losses.objective import DistillationObjective
from training.distillation.losses.teacher_lists import RankingLists
from training.errors import ConfigError
from training.evaluation.yardstick import (
    SELECTION_METRIC,
    Evaluation,
    batch_size,
    evaluate,
    ranker_of,
)
from training.progress import ProgressBar
from training.provenance import commit
from training.settings.experiment import TrainingConfig
from training.students.scorer import StudentScorer
from training.students.student import Student

# Distance between the first random seeds of two runs: more than a run has epochs, so that no two
# runs share a random seed.
EPOCH_SEEDS = 100_003
# Distance between the random seeds of two processes: more than the seed of any run, so that no two
# processes share dropout masks.
RANK_SEEDS = 1_000_000_007
VALIDATION_SEED = 0  # of the validation examples that are drawn


@dataclass
class TrainingState:
    """The progress of a training run: finished epochs, and the best student so far.

    Attributes:
        epoch: number of finished epochs.
        best_epoch: number of the best epoch, the first being 1; 0 before the first epoch ends.
        best_metrics: validation metrics of the best student, by name.
        best_state: state dict of the best student, on the CPU; empty before the first epoch ends.
        seconds: training time, validation and interrupted runs included.
        commits: Git commits of the code that trained; several if the code changed before a killed
            run was resumed.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_metrics: Mapping[str, float] = field(default_factory=lambda: {SELECTION_METRIC: -1.0})
    best_state: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    commits: tuple[str, ...] = ()

    def is_over(self, config: TrainingConfig) -> bool:
        """Returns whether a training run with validation must stop.

        The run stops after `config.max_epochs` epochs, or after `config.patience` epochs without a
        better validation NDCG@20.
        """
        waited = self.epoch - self.best_epoch
        return self.epoch >= config.max_epochs or waited >= config.patience

    def add_commit(self, commit: str) -> None:
        """Adds the Git commit of the running code to `commits`, unless `commits` already has it."""
        if commit not in self.commits:
            self.commits = (*self.commits, commit)

    def record(self, student: nn.Module, metrics: Mapping[str, float], seconds: float) -> None:
        """Records a finished epoch; keeps a copy of the student if it is the best so far.

        The best student has the highest validation NDCG@20. While that is 0, each epoch counts as
        better than the one before: nothing has been learned that could have ended.

        Args:
            student: the student after the epoch.
            metrics: the student's validation metrics, by name.
            seconds: time that the epoch took, validation included.
        """
        self.epoch += 1
        self.seconds += seconds
        figure, best = metrics[SELECTION_METRIC], self.best_metrics[SELECTION_METRIC]
        if figure > best or figure == best == 0:
            self.best_epoch = self.epoch
            self.keep(student, metrics)

    def record_unvalidated(self, student: nn.Module, seconds: float) -> None:
        """Records a finished epoch of a refit; keeps a copy of the student as the best one.

        `seconds` is the time that the epoch took.
        """
        self.epoch += 1
        self.seconds += seconds
        self.best_epoch = self.epoch
        self.keep(student, {})

    def keep(self, student: nn.Module, metrics: Mapping[str, float]) -> None:
        """Stores a copy of the weights of `student` as the best ones, with validation `metrics`.

        `metrics` is empty for a refit.
        """
        self.best_metrics = metrics
        self.best_state = {
            name: each.detach().cpu().clone() for name, each in student.state_dict().items()
        }


class Trainer:
    """Trains one student, for a fixed number of epochs or until validation stops the training.

    Args:
        student: the student to train; its weights are changed.
        dataset: the dataset to train and validate on.
        config: settings of the training.
        seed: random seed of batches and dropout.
        lists: the teacher's ranking lists, which become part of the loss; None trains without them.
        processes: processes that each batch is divided among; None trains in this process on the
            CPU.
        num_epochs: number of epochs of a refit, which has no validation; None trains until
            validation stops the training.

    Raises:
        ConfigError: several processes are to train with `training.touched_rows`.
    """

    def __init__(
        self,
        student: Student,
        dataset: Dataset,
        config: TrainingConfig,
        seed: int,
        lists: RankingLists | None = None,
        processes: Processes | None = None,
        num_epochs: int | None = None,
    ) -> None:
        self.student = student
        self.dataset = dataset
        self.config = config
        self.seed = seed
        self.num_epochs = num_epochs
        self.processes = processes or SingleProcess(torch.device("cpu"))
        if config.touched_rows and self.processes.num_ranks > 1:
            raise ConfigError("training.touched_rows: needs one process, not torchrun with several")
        self.objective = DistillationObjective(
            student, config, candidates_of(student, dataset, config), lists, self.processes.device
        )
        self.loss = self.processes.prepare(self.objective)
        self.windows = TrainingWindows(
            dataset,
            student.max_history_length,
            config.batch_size,
            student.item_table.readable_rows(),
            config.item_dropout,
        )
        weights = list(student.parameters())
        epochs = config.averaged_epochs
        self.average = WeightAverage(weights, epochs) if epochs else None
        self.optimiser = optimiser_of(
            weights,
            config.learning_rate,
            config.weight_decay,
            student.item_table.offsets if config.touched_rows else None,
        )
        self.progress = TrainingState()

    def train(self, state_path: Path, label: str) -> TrainingState:
        """Trains all remaining epochs, then loads the weights of the best epoch into the student.

        Returns the progress of the training.

        Args:
            state_path: file of the training state. It is written after every epoch; if it exists,
                training resumes from it. The caller removes it once the result is stored.
            label: text before the progress bar.
        """
        self._resume(state_path)
        self.progress.add_commit(commit())
        self.processes.wait()
        done, shown = self.progress.epoch, self.processes.rank == 0
        most = self.num_epochs or self.config.max_epochs
        with ProgressBar(label, most, "epoch", done=done, shown=shown) as bar:
            while not self._is_over():
                self._epoch(bar)
                self._save(state_path)
            self.student.load_state_dict(self.progress.best_state)
        return self.progress

    def _is_over(self) -> bool:
        if self.num_epochs is None:
            return self.progress.is_over(self.config)
        return self.progress.epoch >= self.num_epochs

    def _epoch(self, bar: ProgressBar) -> None:
        began = time.perf_counter()
        run = self.seed * EPOCH_SEEDS + self.progress.epoch
        torch.manual_seed(run + self.processes.rank * RANK_SEEDS)
        batches = self.windows.epoch(self.seed, self.progress.epoch)
        num_validation_batches = math.ceil(len(self._rows_of_process()) / batch_size(self.dataset))
        part = 1 / max(1, len(batches) + num_validation_batches)
        self.student.train()
        for number, batch in enumerate(batches, start=1):
            self.step(batch)
            if self.average:
                self.average.include(len(batches))
            bar.show(step=f"{number}/{len(batches)}")
            bar.advance(part)
        with self.average.in_place() if self.average else nullcontext():
            self._record(bar, part, began)
        self._refuse_lost_weights()
        bar.move_to(self.progress.epoch)  # by rounding, the parts may not add up to 1

    def _record(self, bar: ProgressBar, part: float, began: float) -> None:
        """Records the finished epoch, which `began` at that time; validates it unless a refit."""
        if self.num_epochs is not None:
            self.progress.record_unvalidated(self.student, time.perf_counter() - began)
            return
        metrics = self.validate(lambda: bar.advance(part))
        self.progress.record(self.student, metrics, time.perf_counter() - began)
        bar.show(
            **{SELECTION_METRIC: f"{metrics[SELECTION_METRIC]:.4f}"},
            best=f"{self.progress.best_metrics[SELECTION_METRIC]:.4f}",
        )

    def _refuse_lost_weights(self) -> None:
        """Raises a ConfigError if the best student so far has weights that are not finite.

        Validation cannot prefer such a student, unless no epoch before had a hit.
        """
        if all(bool(each.isfinite().all()) for each in self.progress.best_state.values()):
            return
        raise ConfigError(
            f"training.learning_rate = {self.config.learning_rate}: the student's weights are not "
            f"finite after epoch {self.progress.epoch}; lower it, or a setting of [training] or "
            "[distillation] that is far above its default"
        )

    def step(self, batch: Batch) -> None:
        """Takes one step of the optimiser on `batch`; each process computes a part of `batch`."""
        with matmul_precision(self.config.matmul_precision):
            self._step(batch)

    def _step(self, batch: Batch) -> None:
        self.optimiser.zero_grad()
        if self.processes.num_ranks == 1:
            loss = self.loss(batch)
        else:  # gradients are averaged over processes: weigh each loss by its predicted items
            part = batch.part(self.processes.rank, self.processes.num_ranks)
            share = part.num_predicted / max(batch.num_predicted, 1)
            loss = self.loss(part) * (share * self.processes.num_ranks)
        self.processes.backward(loss)
        self.optimiser.step()

    def validate(self, after_batch: Callable[[], None] = lambda: None) -> Mapping[str, float]:
        """Evaluates the current student on all validation examples; returns metrics by name.

        Each process ranks a part of the examples. Every process gets the metrics over all examples.
        `after_batch` is called after each batch of at most `batch_size` examples.
        """
        ranker = ranker_of(StudentScorer(self.student, self.dataset), self.dataset)

        def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
            rankings = ranker(rows)
            after_batch()
            return rankings

        rows = self._rows_of_process()  # none, if there are fewer examples than processes
        ranks = evaluate(rank, self.dataset, rows).ranks if len(rows) else rows
        return Evaluation(self.validation_rows, self.processes.collect(ranks)).metrics

    def _rows_of_process(self) -> NDArray[np.int64]:
        """Returns the dataset rows of the validation examples that this process ranks."""
        return np.array_split(self.validation_rows, self.processes.num_ranks)[self.processes.rank]

    @cached_property
    def validation_rows(self) -> NDArray[np.int64]:
        """Dataset rows of the validation examples that choose the best epoch, ascending.

        Which examples are drawn depends on the dataset alone, so all students are measured alike.
        """
        rows = self.dataset.example_rows(Split.VALIDATION)
        most = self.config.validation_examples
        if most is None or len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(VALIDATION_SEED).choice(rows, most, replace=False))

    def _save(self, path: Path) -> None:
        if self.processes.rank > 0:
            return
        state = {
            "student": self.student.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
            "average": list(self.average.weights) if self.average else None,
        }
        write_tensors(path, state)

    def _resume(self, path: Path) -> None:
        if not path.exists():
            return
        state = read_tensors(path)
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average:
            self.average.load(state["average"])
        self.progress = _state_of(state["progress"])


def _state_of(saved: Mapping[str, Any]) -> TrainingState:
    """Makes a `TrainingState` from its saved fields, by name.

    The field `cold_bonus`, which only files of earlier versions have, is ignored.
    """
    return TrainingState(**{name: value for name, value in saved.items() if name != "cold_bonus"})


def candidates_of(student: Student, dataset: Dataset, config: TrainingConfig) -> Candidates:
    """Returns the candidates: the items that the losses of `student` compare the next item with.

    These are the items with a training interaction if the student has embeddings or
    `training.trained_candidates` is on. Otherwise they are all items.
    """
    only_trained = config.trained_candidates or student.item_table.embeddings is not None
    return next_item_candidates(dataset.train_counts(), only_trained=only_trained)
