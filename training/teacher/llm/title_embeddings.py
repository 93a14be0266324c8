"""Embeddings of titles: the mean of the LLM's states over each line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from training.stage import write_array
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import Phrasebook, TokenIds
from training.teacher.llm.shards import Cost, Shard, complete, plan_shards
from training.teacher.llm.windows import (
    token_bounded,
)


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
