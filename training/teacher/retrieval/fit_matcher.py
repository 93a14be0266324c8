"""Fitting the matcher: AdamW, validation NDCG@20 picks the epoch; a killed fit goes on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from training.compute.allocator import keep_freed_memory
from training.compute.catalog_softmax import matmul_precision
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC
from training.provenance import commit
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint, whole_file
from training.teacher.budget import held_out_rows
from training.teacher.matcher import Matcher
from training.teacher.retrieval.states import Reading
from training.teacher.top_k import figures_of, matched

FIT_VERSION = 1  # raise it when the same examples would make another matcher
# What a fit depends on, beside what was read; one of more epochs goes on from one of fewer.
SETTINGS_OF_FIT = frozenset(
    {
        *("projection_size", "dropout", "batch_size", "matching_rate", "weight_decay"),
        *("patience", "seed"),
    }
)


@dataclass(frozen=True)
class Fit:
    """The matcher of the best epoch and its validation figures; epoch 0 is the one it began as.

    `seconds` are those of all epochs, whoever was killed between them, `commits` of the code that
    fitted them.
    """

    matcher: Matcher
    best_epoch: int
    validation: Mapping[str, float]
    seconds: float
    commits: Sequence[str]


def fit_matcher(
    dataset: Dataset, reading: Reading, config: TeacherConfig, initial: Matcher | None = None
) -> Fit:
    """Trains on the TRAIN rows that were read until validation stops getting better.

    Each epoch is kept beside the shards of the reading. `initial` is where it begins, such as the
    matcher that the LLM was tuned with.
    """
    keep_freed_memory()
    fitter = Fitter(dataset, reading, config, initial)
    settings = config.model_dump(include=set(SETTINGS_OF_FIT))
    path = reading.folder / f"fit-{fingerprint(FIT_VERSION, settings)}.pt"
    fitter.go_on_from(path)
    with tqdm(
        desc="fitting the matcher", total=config.epochs, initial=fitter.epoch, unit="epoch"
    ) as bar:
        while not fitter.is_done():
            fitter.fit_epoch()
            fitter.keep(path)
            bar.set_postfix({SELECTION_METRIC: f"{fitter.figures[SELECTION_METRIC]:.4f}"})
            bar.update()
    return fitter.best()


class Fitter:
    """A fit under way."""

    def __init__(
        self, dataset: Dataset, reading: Reading, config: TeacherConfig, initial: Matcher | None
    ) -> None:
        torch.manual_seed(config.seed)
        self.dataset, self.read, self.config = dataset, reading.states, config
        train = self.read.read_of(dataset, Split.TRAIN)
        self.states = torch.from_numpy(train.states)
        self.next_items = torch.from_numpy(dataset.item_indices[train.rows].astype(np.int64))
        titles = torch.from_numpy(reading.title_embeddings)
        self.matcher = initial or Matcher(
            self.states.float(), titles, config.projection_size, config.dropout
        )
        self.optimiser = torch.optim.AdamW(
            self.matcher.parameters(), lr=config.matching_rate, weight_decay=config.weight_decay
        )
        self.epoch, self.best_epoch, self.seconds = 0, 0, 0.0
        self.commits: list[str] = []
        self.figures = self._judge() if initial else {SELECTION_METRIC: -1.0}
        self.best_figures, self.best_weights = self.figures, self._weights()

    def is_done(self) -> bool:
        """Whether no epoch is left, or validation has not got better for too long."""
        is_over = self.epoch >= self.config.epochs
        return is_over or self.epoch - self.best_epoch >= self.config.patience

    def fit_epoch(self) -> None:
        """Goes once through the training examples, and through those of validation."""
        began = time.monotonic()
        self.commits = list(dict.fromkeys([*self.commits, commit()]))
        self.matcher.train()
        for batch in torch.split(torch.randperm(len(self.states)), self.config.batch_size):
            self._step(self.states[batch].float(), self.next_items[batch])
        self.epoch += 1
        self.figures = self._judge()
        if self.figures[SELECTION_METRIC] > self.best_figures[SELECTION_METRIC]:
            self.best_epoch, self.best_figures = self.epoch, self.figures
            self.best_weights = self._weights()
        self.seconds += time.monotonic() - began

    def best(self) -> Fit:
        """What came of it; the fit is over."""
        self.matcher.load_state_dict(self.best_weights)
        matcher = self.matcher.eval()
        return Fit(matcher, self.best_epoch, self.best_figures, self.seconds, self.commits)

    def keep(self, path: Path) -> None:
        """Writes all that another process needs to go on."""
        state = {
            "matcher": self.matcher.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "commits": self.commits,
            "best": (self.best_epoch, self.best_figures, self.best_weights),
        }
        with whole_file(path) as file:
            torch.save(state, file)

    def go_on_from(self, path: Path) -> None:
        """Takes up what `keep` wrote, unless there is none or it went further than it may now."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["epoch"] > self.config.epochs:
            return
        self.matcher.load_state_dict(state["matcher"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.commits = state["commits"]
        self.best_epoch, self.best_figures, self.best_weights = state["best"]

    def _step(self, states: Tensor, next_items: Tensor) -> None:
        self.optimiser.zero_grad()
        with matmul_precision("medium" if self.config.precision == "bfloat16" else "highest"):
            self.matcher.loss(states, next_items).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def _judge(self) -> dict[str, float]:
        rows = held_out_rows(self.dataset, self.config, Split.VALIDATION)
        return figures_of(matched(self.matcher, self.read), self.dataset, rows)

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.matcher.state_dict().items()}
