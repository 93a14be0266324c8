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

EPOCH_SEEDS = 100_003  # more than any run has epochs, so that no two runs share a seed
RANK_SEEDS = 1_000_000_007  # beyond those of any run, so that no two processes drop the same


@dataclass
class TrainingState:
    """What the epochs so far have brought."""

    epoch: int = 0
    best_epoch: int = 0
    best_metrics: Mapping[str, float] = field(default_factory=lambda: {SELECTION_METRIC: -1.0})
    best_state: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    commits: tuple[str, ...] = ()  # of the code that did it

    def is_over(self, config: TrainingConfig) -> bool:
        """Whether the epochs are used up or patience is out."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= config.max_epochs or waited >= config.patience

    def signed(self, author: str) -> None:
        """Adds the commit of the code that goes on from here."""
        if author not in self.commits:
            self.commits = (*self.commits, author)

    def record(self, student: nn.Module, metrics: Mapping[str, float], seconds: float) -> None:
        """Counts an epoch, and keeps its student if there was none better."""
        self.epoch += 1
        self.seconds += seconds
        if metrics[SELECTION_METRIC] > self.best_metrics[SELECTION_METRIC]:
            self.best_epoch = self.epoch
            self.keep(student, metrics)

    def keep(self, student: nn.Module, metrics: Mapping[str, float]) -> None:
        """Makes `student` as it is the best one."""
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
        engine: Processes | None = None,
    ) -> None:
        self.student = student
        self.dataset = dataset
        self.config = config
        self.seed = seed
        self.engine = engine or SingleProcess(torch.device("cpu"))
        next_item_candidates = candidates_of(student, dataset)
        self.objective = DistillationObjective(
            student, config, next_item_candidates, lists, self.engine.device
        )
        self.loss = self.engine.prepare(self.objective)
        self.windows = TrainingWindows(dataset, student.max_history_length, config.batch_size)
        self.optimiser = torch.optim.AdamW(
            student.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.progress = TrainingState()

    def train(self, state_path: Path, label: str) -> TrainingState:
        """Trains to the end, from `state_path` on if a killed run left it; the best student stays.

        The caller removes `state_path` once the result is safe.
        """
        self._resume(state_path)
        self.progress.signed(commit())
        self.engine.wait()
        done, shown = self.progress.epoch, self.engine.rank == 0
        with ProgressBar(label, self.config.max_epochs, "epoch", done=done, shown=shown) as bar:
            while not self.progress.is_over(self.config):
                self._epoch(bar)
                self._save(state_path)
            self.student.load_state_dict(self.progress.best_state)
        return self.progress

    def _epoch(self, bar: ProgressBar) -> None:
        began = time.perf_counter()
        run = self.seed * EPOCH_SEEDS + self.progress.epoch
        torch.manual_seed(run + self.engine.rank * RANK_SEEDS)
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
        """Learns from one batch, of which this process does its part."""
        with matmul_precision(self.config.matmul_precision):
            self._step(batch)

    def _step(self, batch: Batch) -> None:
        self.optimiser.zero_grad()
        if self.engine.num_ranks == 1:
            loss = self.loss(batch)
        else:  # gradients are averaged over processes; a process counts by its positions
            part = batch.part(self.engine.rank, self.engine.num_ranks)
            share = part.num_predicted / max(batch.num_predicted, 1)
            loss = self.loss(part) * (share * self.engine.num_ranks)
        self.engine.backward(loss)
        self.optimiser.step()

    def validate(self, after_batch: Callable[[], None] = lambda: None) -> Mapping[str, float]:
        """Metrics of the student as it is on all validation examples.

        `after_batch` is called after each batch of at most `BATCH_SIZE` examples.
        """
        ranker = ranker_of(StudentScorer(self.student, self.dataset), self.dataset)

        def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
            rankings = ranker(rows)
            after_batch()
            return rankings

        ranks = evaluate(rank, self.dataset, self._validation_rows()).ranks
        rows = self.dataset.example_rows(Split.VALIDATION)
        return Evaluation(rows, self.engine.collect(ranks)).metrics

    def _validation_rows(self) -> NDArray[np.int64]:
        """Validation examples that this process ranks."""
        rows = self.dataset.example_rows(Split.VALIDATION)
        return np.array_split(rows, self.engine.num_ranks)[self.engine.rank]

    def _save(self, path: Path) -> None:
        if self.engine.rank > 0:
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
    """The saved state; files of older commits have a cold bonus in it, never set before the end."""
    return TrainingState(**{name: value for name, value in saved.items() if name != "cold_bonus"})


def candidates_of(student: Student, dataset: Dataset) -> Candidates:
    """What `student` learns to rank the next item above."""
    return next_item_candidates(
        dataset.train_counts(), only_trained=student.item_table.embeddings is not None
    )
