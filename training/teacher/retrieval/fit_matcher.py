"""Fits the matcher of a retrieval teacher; validation NDCG@20 chooses the best epoch.

A killed fit resumes after its last finished epoch.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.compute.allocator import keep_freed_memory
from training.compute.catalog_softmax import matmul_precision
from training.compute.kernels import keep_few_products
from training.compute.tensor_file import read_tensors, write_tensors
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC
from training.progress import Advance, ProgressBar, ignore_progress
from training.provenance import commit
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint
from training.teacher.budget import held_out_rows
from training.teacher.matcher import Matcher, matcher_distances
from training.teacher.retrieval.states import EncodedDataset
from training.teacher.top_k import teacher_metrics

# Increment when a code change alters the matcher for unchanged settings and examples.
FIT_VERSION = 1
# Settings that a fit depends on; it depends on the encoded dataset, too. `epochs` is left out, so
# that a fit of more epochs resumes a fit of fewer.
SETTINGS_OF_FIT = frozenset(
    {
        *("projection_size", "dropout", "batch_size", "matching_rate", "weight_decay"),
        *("patience", "seed"),
    }
)


@dataclass(frozen=True)
class Fit:
    """A fitted matcher, with its validation metrics and the time of the fit.

    Attributes:
        matcher: the matcher after the best epoch, in evaluation mode.
        best_epoch: number of the best epoch, from 1; 0 if no epoch improved the initial matcher.
        validation: validation metrics of `matcher`, by name.
        seconds: time of all epochs, interrupted runs included.
        commits: Git commits of the code that ran the epochs.
    """

    matcher: Matcher
    best_epoch: int
    validation: Mapping[str, float]
    seconds: float
    commits: Sequence[str]


def fit_matcher(
    dataset: Dataset,
    encoded: EncodedDataset,
    config: TeacherConfig,
    initial: Matcher | None = None,
) -> Fit:
    """Fits a matcher to training examples for at most `config.epochs` epochs.

    The fit stops after `config.patience` epochs without a better validation NDCG@20. Its state is
    written to `encoded.folder` after each epoch, and a killed fit resumes from this state.

    Args:
        dataset: the dataset.
        encoded: the LLM's states and title embeddings for `dataset`.
        config: settings of the teacher.
        initial: matcher to begin with, such as the one that the LLM was tuned with; its weights
            are trained in place. None begins with an untrained matcher.
    """
    keep_freed_memory()
    keep_few_products()
    fitter = Fitter(dataset, encoded, config, initial)
    settings = config.model_dump(include=set(SETTINGS_OF_FIT))
    path = encoded.folder / f"fit-{fingerprint(FIT_VERSION, settings)}.safetensors"
    fitter.resume_from(path)
    with ProgressBar("fitting the matcher", config.epochs, "epoch", done=fitter.epoch) as bar:
        while not fitter.is_done():
            fitter.fit_epoch(bar.advance)
            fitter.save(path)
            bar.show(**{SELECTION_METRIC: f"{fitter.metrics[SELECTION_METRIC]:.4f}"})
            bar.move_to(fitter.epoch)  # by rounding, the parts of an epoch may not add up to 1
    return fitter.best()


class Fitter:
    """A fit in progress: the matcher, its optimiser, and the best epoch so far."""

    def __init__(
        self,
        dataset: Dataset,
        encoded: EncodedDataset,
        config: TeacherConfig,
        initial: Matcher | None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.dataset, self.encoded_states, self.config = dataset, encoded.states, config
        self.validation_rows = held_out_rows(dataset, config, Split.VALIDATION)
        train = encoded.states.of_split(dataset, Split.TRAIN)
        self.states = torch.from_numpy(train.states)
        self.next_items = torch.from_numpy(dataset.item_indices[train.rows].astype(np.int64))
        titles = torch.from_numpy(encoded.title_embeddings)
        self.matcher = initial or Matcher(
            self.states.float(), titles, config.projection_size, config.dropout
        )
        self.optimiser = torch.optim.AdamW(
            self.matcher.parameters(), lr=config.matching_rate, weight_decay=config.weight_decay
        )
        self.epoch, self.best_epoch, self.seconds = 0, 0, 0.0
        self.commits: list[str] = []
        self.metrics = self._validate(ignore_progress) if initial else {SELECTION_METRIC: -1.0}
        self.best_metrics, self.best_weights = self.metrics, self._weights()

    def is_done(self) -> bool:
        """Returns whether the fit must stop.

        It stops after `config.epochs` epochs, or after `config.patience` epochs without a better
        validation NDCG@20.
        """
        is_over = self.epoch >= self.config.epochs
        return is_over or self.epoch - self.best_epoch >= self.config.patience

    def fit_epoch(self, advance: Advance = ignore_progress) -> None:
        """Trains the matcher on each training example once, then validates it.

        `advance` is called with the share of the epoch done since its last call.
        """
        began = time.monotonic()
        self.commits = list(dict.fromkeys([*self.commits, commit()]))
        self.matcher.train()
        num_examples = len(self.states) + len(self.validation_rows)
        for batch in torch.split(torch.randperm(len(self.states)), self.config.batch_size):
            self._step(self.states[batch].float(), self.next_items[batch])
            advance(len(batch) / num_examples)
        self.epoch += 1
        self.metrics = self._validate(lambda examples: advance(examples / num_examples))
        if self.metrics[SELECTION_METRIC] > self.best_metrics[SELECTION_METRIC]:
            self.best_epoch, self.best_metrics = self.epoch, self.metrics
            self.best_weights = self._weights()
        self.seconds += time.monotonic() - began

    def best(self) -> Fit:
        """Ends the fit: loads the weights of the best epoch and returns the fitted matcher."""
        self.matcher.load_state_dict(self.best_weights)
        matcher = self.matcher.eval()
        return Fit(matcher, self.best_epoch, self.best_metrics, self.seconds, self.commits)

    def save(self, path: Path) -> None:
        """Writes the state of the fit to `path`, so that another process can resume it."""
        state = {
            "matcher": self.matcher.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "commits": self.commits,
            "best": (self.best_epoch, self.best_metrics, self.best_weights),
        }
        write_tensors(path, state)

    def resume_from(self, path: Path) -> None:
        """Restores the state of the fit that `save` wrote to `path`.

        Does nothing if the file is missing, or if the saved fit has more than `config.epochs`
        epochs.
        """
        if not path.exists():
            return
        state = read_tensors(path)
        if state["epoch"] > self.config.epochs:
            return
        self.matcher.load_state_dict(state["matcher"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.commits = state["commits"]
        self.best_epoch, self.best_metrics, self.best_weights = state["best"]

    def _step(self, states: Tensor, next_items: Tensor) -> None:
        self.optimiser.zero_grad()
        with matmul_precision("medium" if self.config.precision == "bfloat16" else "highest"):
            self.matcher.loss(states, next_items).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def _validate(self, advance: Advance) -> dict[str, float]:
        distances = matcher_distances(self.matcher, self.encoded_states)
        return teacher_metrics(distances, self.dataset, self.validation_rows, advance)

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.matcher.state_dict().items()}
