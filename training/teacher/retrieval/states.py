"""Reading: the LLM passes over every history once, and each answer's hidden state is kept.

This is the expensive part of a retrieval teacher, so it is cut into shards that survive a kill.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split, places_among
from training.settings.teacher import Pooling, TeacherConfig
from training.stage import fingerprint, write_array
from training.teacher.budget import answered_rows
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.pooling import pooled
from training.teacher.llm.prompts import PROMPT_VERSION, Phrasebook, phrasebook
from training.teacher.llm.shards import Cost, Shard, complete, plan_shards
from training.teacher.llm.title_embeddings import (
    kept,
    read_titles,
)
from training.teacher.llm.windows import (
    Window,
    plan_windows,
    prompt_batch,
    prompt_lengths,
)

# What states and their shards depend on, beside the dataset.
SETTINGS_OF_STATES = frozenset(
    {
        *("model", "layers", "pooling", "max_titles", "overlap", "precision", "tokens_per_batch"),
        *("budget_sequences", "budget_tokens", "budget_held_out"),
    }
)


@dataclass(frozen=True)
class States:
    """`rows` `[examples]`, ascending, and the LLM's state `[examples, hidden]` before each."""

    rows: NDArray[np.int64]
    states: NDArray[np.float16]

    def of(self, rows: NDArray[np.int64]) -> "States":
        """The states of some of the rows, in their order."""
        return States(rows, self.states[places_among(self.rows, rows)])

    def read_of(self, dataset: Dataset, split: Split) -> "States":
        """The states before the examples of `split` that were read."""
        return self.of(np.intersect1d(self.rows, dataset.example_rows(split)))


@dataclass(frozen=True)
class Reading:
    """All that the LLM is needed for.

    Attributes:
        states: before every example that was read, all splits.
        title_embeddings: `[catalog rows, hidden]`, row 0 zeros.
        cost: of reading both.
        folder: where it is kept, of no other reading.
    """

    states: States
    title_embeddings: NDArray[np.float32]
    cost: Cost
    folder: Path


def read_everything(
    dataset: Dataset,
    config: TeacherConfig,
    folder: Path,
    model: LanguageModel,
    weights: str | None = None,
) -> Reading:
    """Lets `model` read each title and each history once; goes on where a killed run stopped.

    Args:
        dataset: what is read.
        config: how.
        folder: of the shards of all readings.
        model: who reads.
        weights: hash of the tuned weights of `model`, None if it is not tuned.
    """
    book = phrasebook(model.tokenizer, dataset.catalog)
    settings = config.told_apart(set(SETTINGS_OF_STATES), exclude_none=True)
    tuned = [weights] if weights else []
    folder = folder / fingerprint(PROMPT_VERSION, dataset.fingerprint, settings, *tuned)
    folder.mkdir(parents=True, exist_ok=True)
    titles, of_titles = read_titles(model, book, config.tokens_per_batch, folder)
    windows = plan_reading(dataset, book, config)
    lengths = prompt_lengths(dataset, book, windows)
    model.refuse_longer_than_it_reads(int(lengths.max()))
    shards = plan_shards(windows, lengths, config.tokens_per_batch, folder / "states.npy")

    def read(shard: Shard[Window]) -> int:
        states = [_read(model, book, dataset, batch, config.pooling) for batch in shard.batches]
        write_array(shard.path, np.concatenate(states))
        return shard.tokens

    of_histories = complete(shards, read, "reading histories")
    return Reading(_gathered(shards), titles, of_titles + of_histories, folder)


def plan_reading(dataset: Dataset, book: Phrasebook, config: TeacherConfig) -> list[Window]:
    """Windows that answer every example the budget allows, the same on every run."""

    def windows_of(rows: NDArray[np.int64]) -> list[Window]:
        return plan_windows(dataset, rows, config.max_titles, config.overlap)

    def count_tokens(rows: NDArray[np.int64]) -> int:
        return int(prompt_lengths(dataset, book, windows_of(rows)).sum())

    return windows_of(answered_rows(dataset, config, count_tokens))


def _gathered(shards: Sequence[Shard[Window]]) -> States:
    windows = [window for shard in shards for batch in shard.batches for window in batch]
    rows = np.concatenate([window.targets for window in windows])
    states = np.concatenate([np.load(shard.path) for shard in shards])
    order = np.argsort(rows)
    return States(rows[order], states[order])


@torch.inference_mode()
def _read(
    model: LanguageModel,
    book: Phrasebook,
    dataset: Dataset,
    windows: Sequence[Window],
    pooling: Pooling,
) -> NDArray[np.float16]:
    batch = prompt_batch(dataset, book, windows)
    return kept(pooled(model.hidden_states(torch.from_numpy(batch.tokens)), batch.newest, pooling))
