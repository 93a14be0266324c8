"""The training loop: one student, resumable, its best epoch picked by validation NDCG@20.

The randomness of an epoch is a function of seed and epoch, so on a CPU a run that was killed and
resumed ends with the same bits as one that was not.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.compute.catalog_softmax import matmul_precision
from training.data.dataset import Dataset, Split
from training.distillation.batches import Batch, TrainingWindows
from training.distillation.distributed import Processes, SingleProcess
from training.distillation.losses.candidates import Candidates, next_item_candidates
from training.distillation.losses.objective import DistillationObjective
from training.distillation.losses.teacher_lists import RankingLists
from training.evaluation.yardstick import (
    BATCH_SIZE,
    SELECTION_METRIC,
    Evaluation,
    evaluate,
    ranker_of,
)
from training.progress import ProgressBar
from training.provenance import commit
from training.settings.experiment import TrainingConfig
from training.stage import whole_file
from training.students.scorer import StudentScorer
from training.students.student import Student

EPOCH_SEEDS = 100_003  # more than any run has epochs, so that no two runs share a random seed
RANK_SEEDS = 1_000_000_007  # larger than any run's, so that no two processes share dropout masks


@dataclass
class TrainingState:
    """Progress of a training run: epochs done, and the best student so far.

    Attributes:
        best_epoch: from 1; 0 before the first epoch ends.
        best_metrics: validation metrics of the best student.
        best_state: its state dict, on the CPU.
        seconds: training time, validation included.
        commits: of the code that trained; several if the run was killed and resumed.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_metrics: Mapping[str, float] = field(default_factory=lambda: {SELECTION_METRIC: -1.0})
    best_state: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    commits: tuple[str, ...] = ()

    def is_over(self, config: TrainingConfig) -> bool:
        """Whether `max_epochs` is reached or `patience` epochs brought no better student."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= config.max_epochs or waited >= config.patience

    def add_commit(self, commit: str) -> None:
        """Adds the commit of the code that trains from here on, once."""
        if commit not in self.commits:
            self.commits = (*self.commits, commit)

    def record(self, student: nn.Module, metrics: Mapping[str, float], seconds: float) -> None:
        """Counts an epoch and keeps its student if that is better than all before."""
        self.epoch += 1
        self.seconds += seconds
        if metrics[SELECTION_METRIC] > self.best_metrics[SELECTION_METRIC]:
            self.best_epoch = self.epoch
            self.keep(student, metrics)

    def keep(self, student: nn.Module, metrics: Mapping[str, float]) -> None:
        """Copies `student` as the best one."""
        self.best_metrics = metrics
        self.best_state = {
            name: each.detach().cpu().clone() for name, each in student.state_dict().items()
        }


class Trainer:
    """Trains one student; with `lists`, the teacher's rankings are part of the loss."""

    def __init__(
        self,
        student: Student,
        dataset: Dataset,
        config: TrainingConfig,
        seed: int,
        lists: RankingLists | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.student = student
        self.dataset = dataset
        self.config = config
        self.seed = seed
        self.processes = processes or SingleProcess(torch.device("cpu"))
        self.objective = DistillationObjective(
            student, config, candidates_of(student, dataset), lists, self.processes.device
        )
        self.loss = self.processes.prepare(self.objective)
        self.windows = TrainingWindows(dataset, student.max_history_length, config.batch_size)
        self.optimiser = torch.optim.AdamW(
            student.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.progress = TrainingState()

    def train(self, state_path: Path, label: str) -> TrainingState:
        """Trains all epochs; `student` ends with the weights of the best one.

        Args:
            state_path: written after every epoch. If a killed run left it, training resumes from
                it. The caller removes it once the result is safe.
            label: of the progress bar.
        """
        self._resume(state_path)
        self.progress.add_commit(commit())
        self.processes.wait()
        done, shown = self.progress.epoch, self.processes.rank == 0
        with ProgressBar(label, self.config.max_epochs, "epoch", done=done, shown=shown) as bar:
            while not self.progress.is_over(self.config):
                self._epoch(bar)
                self._save(state_path)
            self.student.load_state_dict(self.progress.best_state)
        return self.progress

    def _epoch(self, bar: ProgressBar) -> None:
        began = time.perf_counter()
        run = self.seed * EPOCH_SEEDS + self.progress.epoch
        torch.manual_seed(run + self.processes.rank * RANK_SEEDS)
        batches = self.windows.epoch(self.seed, self.progress.epoch)
        num_validation_batches = math.ceil(len(self._validation_rows()) / BATCH_SIZE)
        part = 1 / (len(batches) + num_validation_batches)
        self.student.train()
        for number, batch in enumerate(batches, start=1):
            self.step(batch)
            bar.show(step=f"{number}/{len(batches)}")
            bar.advance(part)
        metrics = self.validate(lambda: bar.advance(part))
        self.progress.record(self.student, metrics, time.perf_counter() - began)
        bar.move_to(self.progress.epoch)  # parts may not add up to 1
        bar.show(
            **{SELECTION_METRIC: f"{metrics[SELECTION_METRIC]:.4f}"},
            best=f"{self.progress.best_metrics[SELECTION_METRIC]:.4f}",
        )

    def step(self, batch: Batch) -> None:
        """Updates the weights from one batch; each process computes its part of the batch."""
        with matmul_precision(self.config.matmul_precision):
            self._step(batch)

    def _step(self, batch: Batch) -> None:
        self.optimiser.zero_grad()
        if self.processes.num_ranks == 1:
            loss = self.loss(batch)
        else:  # gradients are averaged over processes; weigh each by its number of positions
            part = batch.part(self.processes.rank, self.processes.num_ranks)
            share = part.num_predicted / max(batch.num_predicted, 1)
            loss = self.loss(part) * (share * self.processes.num_ranks)
        self.processes.backward(loss)
        self.optimiser.step()

    def validate(self, after_batch: Callable[[], None] = lambda: None) -> Mapping[str, float]:
        """Metrics of the current student on all validation examples.

        `after_batch` is called after each batch of at most `BATCH_SIZE` examples.
        """
        ranker = ranker_of(StudentScorer(self.student, self.dataset), self.dataset)

        def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
            rankings = ranker(rows)
            after_batch()
            return rankings

        ranks = evaluate(rank, self.dataset, self._validation_rows()).ranks
        rows = self.dataset.example_rows(Split.VALIDATION)
        return Evaluation(rows, self.processes.collect(ranks)).metrics

    def _validation_rows(self) -> NDArray[np.int64]:
        """Validation examples that this process ranks."""
        rows = self.dataset.example_rows(Split.VALIDATION)
        return np.array_split(rows, self.processes.num_ranks)[self.processes.rank]

    def _save(self, path: Path) -> None:
        if self.processes.rank > 0:
            return
        state = {
            "student": self.student.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        with whole_file(path) as file:
            torch.save(state, file)

    def _resume(self, path: Path) -> None:
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = _state_of(state["progress"])


def _state_of(saved: Mapping[str, Any]) -> TrainingState:
    """The saved state; files of earlier commits also have a cold bonus, which was never set."""
    return TrainingState(**{name: value for name, value in saved.items() if name != "cold_bonus"})


def candidates_of(student: Student, dataset: Dataset) -> Candidates:
    """The items among which `student` learns to rank the next item first."""
    return next_item_candidates(
        dataset.train_counts(), only_trained=student.item_table.embeddings is not None
    )
