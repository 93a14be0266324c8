"""Reading: the LLM passes over every history once, and each answer's hidden state is kept.

This is the expensive part of a retrieval teacher, so it is cut into shards that survive a kill.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from training.data.dataset import Dataset, Split, places_among
from training.stage import fingerprint, write_array
from training.teacher.budget import answered_rows
from training.teacher.config import Pooling, TeacherConfig
from training.teacher.language_model import LanguageModel
from training.teacher.pooling import pooled
from training.teacher.prompts import PROMPT_VERSION, Phrasebook, TokenIds, phrasebook
from training.teacher.shards import Cost, Shard, complete, plan_shards
from training.teacher.windows import (
    Window,
    plan_windows,
    prompt_batch,
    prompt_lengths,
    token_bounded,
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


def read_titles(
    model: LanguageModel, book: Phrasebook, tokens_per_batch: int, folder: Path
) -> tuple[NDArray[np.float32], Cost]:
    """`embed_titles`, sharded in `folder`, which has to be there; and what it took."""
    items = np.arange(1, len(book.titles))
    lengths = np.array([len(book.titles[item]) for item in items])
    shards = plan_shards(items.tolist(), lengths, tokens_per_batch, folder / "titles.npy")

    def read(shard: Shard[int]) -> int:
        batches = [[book.titles[item] for item in batch] for batch in shard.batches]
        states = [mean_states(model, batch) for batch in batches]
        write_array(shard.path, np.concatenate(states))
        return shard.tokens

    cost = complete(shards, read, "reading titles")
    embeddings = np.zeros((len(book.titles), model.hidden_size), dtype=np.float32)
    for shard in shards:
        embeddings[np.concatenate(shard.batches)] = np.load(shard.path)
    return embeddings, cost


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


def kept(states: Tensor) -> NDArray[np.float16]:
    """States as they are stored and matched."""
    return states.to("cpu", torch.float16).numpy()


def embed_titles(
    model: LanguageModel, book: Phrasebook, tokens_per_batch: int, description: str | None = None
) -> NDArray[np.float32]:
    """How the LLM sees each title of the catalog alone, `[catalog rows, hidden]`; row 0 zeros."""
    titles = embed_lines(model, book.titles[1:], tokens_per_batch, description)
    return np.concatenate([np.zeros_like(titles[:1]), titles])


def embed_lines(
    model: LanguageModel,
    lines: Sequence[TokenIds],
    tokens_per_batch: int,
    description: str | None = None,
) -> NDArray[np.float32]:
    """The mean of the LLM's states over each line, `[lines, hidden]`; a description is shown."""
    embeddings = np.zeros((len(lines), model.hidden_size), dtype=np.float32)
    lengths = np.array([len(line) for line in lines])
    batches = list(token_bounded(lengths, tokens_per_batch))
    for batch in tqdm(batches, desc=description, unit="batch", disable=description is None):
        embeddings[batch] = mean_states(model, [lines[index] for index in batch])
    return embeddings


@torch.inference_mode()
def mean_states(model: LanguageModel, lines: Sequence[TokenIds]) -> NDArray[np.float32]:
    """The mean of the LLM's states over each line, read in one batch, `[lines, hidden]`."""
    tokens = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(line) for line in lines], batch_first=True
    )
    lengths = torch.tensor([len(line) for line in lines])[:, None]
    real = torch.arange(tokens.shape[1]) < lengths  # [lines, tokens]
    states = model.hidden_states(tokens).float()
    sums = (states * real[:, :, None].to(states.device)).sum(dim=1).cpu()
    means: NDArray[np.float32] = (sums / lengths).numpy()
    return means
