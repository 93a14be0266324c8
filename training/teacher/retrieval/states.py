"""Encoding for a retrieval teacher: an LLM reads titles and histories, and its states are stored.

This is the most expensive part of teaching. So it is divided into shards, from which a killed run
resumes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.progress import Advance
from training.settings.teacher import Pooling, TeacherConfig
from training.stage import fingerprint, write_array
from training.teacher.budget import answered_rows
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.pooling import pooled
from training.teacher.llm.prompts import PROMPT_VERSION, PromptBuilder, prompt_builder
from training.teacher.llm.shards import Cost, Shard, ShardedWork, compute_missing, plan_shards
from training.teacher.llm.states import SETTINGS_OF_STATES, States, as_stored
from training.teacher.llm.title_embeddings import embed_titles_resumably, titles_work
from training.teacher.llm.windows import Window, plan_windows, prompt_batch, prompt_lengths


@dataclass(frozen=True)
class EncodedDataset:
    """An LLM's states of histories and embeddings of titles, which a retrieval teacher matches.

    Attributes:
        states: states of the histories of the examples within the budget, of all splits.
        title_embeddings: `[catalog rows, hidden]`; row 0 is zeros.
        cost: tokens and seconds of computing the states and the title embeddings.
        folder: folder of the shards, for this dataset, LLM and settings only.
    """

    states: States
    title_embeddings: NDArray[np.float32]
    cost: Cost
    folder: Path


def encode_dataset(
    dataset: Dataset,
    config: TeacherConfig,
    folder: Path,
    model: LanguageModel,
    weights: str | None = None,
) -> EncodedDataset:
    """Computes the LLM's title embeddings, and its states of the histories within the budget.

    A killed run resumes from the finished shards.

    Args:
        dataset: histories and titles.
        config: settings of the teacher, with those of prompts, pooling and budget.
        folder: parent folder of all encodings; the shards of this one get a folder of their own.
        model: the LLM.
        weights: hash of the LLM's tuned weights; None if it is not tuned.

    Raises:
        ConfigError: a prompt is longer than the LLM's context, or the budget allows no example.
    """
    builder = prompt_builder(model.tokenizer, dataset.catalog)
    folder = _encoding_folder(dataset, config, folder, weights)
    titles, title_cost = embed_titles_resumably(model, builder, config.tokens_per_batch, folder)
    work = _histories_work(dataset, config, folder, model, builder)
    compute_missing(work)
    return EncodedDataset(_load_states(work.shards), titles, title_cost + work.cost, folder)


def encoding_works(
    dataset: Dataset,
    config: TeacherConfig,
    folder: Path,
    model: LanguageModel,
    weights: str | None = None,
) -> tuple[ShardedWork[int], ShardedWork[Window]]:
    """Plans the work of `encode_dataset`, which has the same arguments: titles, then histories."""
    builder = prompt_builder(model.tokenizer, dataset.catalog)
    folder = _encoding_folder(dataset, config, folder, weights)
    titles = titles_work(model, builder, config.tokens_per_batch, folder)
    return titles, _histories_work(dataset, config, folder, model, builder)


def _encoding_folder(
    dataset: Dataset, config: TeacherConfig, folder: Path, weights: str | None
) -> Path:
    settings = config.fingerprint_settings(set(SETTINGS_OF_STATES), exclude_none=True)
    tuned = [weights] if weights else []
    folder = folder / fingerprint(PROMPT_VERSION, dataset.fingerprint, settings, *tuned)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _histories_work(
    dataset: Dataset,
    config: TeacherConfig,
    folder: Path,
    model: LanguageModel,
    builder: PromptBuilder,
) -> ShardedWork[Window]:
    windows = plan_history_windows(dataset, builder, config)
    lengths = prompt_lengths(dataset, builder, windows)
    model.refuse_too_long(int(lengths.max()))
    shards = plan_shards(windows, lengths, config.tokens_per_batch, folder / "states.npy")

    def encode(shard: Shard[Window], advance: Advance) -> int:
        states = []
        for batch, tokens in zip(shard.batches, shard.batch_tokens, strict=True):
            with model.reporting_layers(advance, tokens):
                states.append(_encode_batch(model, builder, dataset, batch, config.pooling))
        write_array(shard.path, np.concatenate(states))
        return shard.tokens

    return ShardedWork("reading histories", shards, encode)


def plan_history_windows(
    dataset: Dataset, builder: PromptBuilder, config: TeacherConfig
) -> list[Window]:
    """Plans the prompt windows that predict each example within the teacher's budget once.

    `builder` has the tokens of the titles, which are counted against `config.budget_tokens`.
    """

    def windows_of(rows: NDArray[np.int64]) -> list[Window]:
        return plan_windows(dataset, rows, config.max_titles, config.overlap)

    def count_tokens(rows: NDArray[np.int64]) -> int:
        return int(prompt_lengths(dataset, builder, windows_of(rows)).sum())

    return windows_of(answered_rows(dataset, config, count_tokens))


def _load_states(shards: Sequence[Shard[Window]]) -> States:
    windows = [window for shard in shards for batch in shard.batches for window in batch]
    rows = np.concatenate([window.targets for window in windows])
    states = np.concatenate([np.load(shard.path, allow_pickle=False) for shard in shards])
    order = np.argsort(rows)
    return States(rows[order], states[order])


@torch.inference_mode()
def _encode_batch(
    model: LanguageModel,
    builder: PromptBuilder,
    dataset: Dataset,
    windows: Sequence[Window],
    pooling: Pooling,
) -> NDArray[np.float16]:
    batch = prompt_batch(dataset, builder, windows)
    states = model.hidden_states(torch.from_numpy(batch.tokens))
    return as_stored(pooled(states, batch.newest, pooling))
