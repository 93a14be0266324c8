"""Title embeddings: the mean of an LLM's hidden states over the tokens of a title."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.errors import KnowledgeError
from training.progress import Advance, ProgressBar, ignore_progress
from training.stage import write_array
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import PromptBuilder, TokenIds
from training.teacher.llm.shards import Cost, Shard, ShardedWork, compute_missing, plan_shards
from training.teacher.llm.windows import token_bounded


def embed_titles_resumably(
    model: LanguageModel, builder: PromptBuilder, tokens_per_batch: int, folder: Path
) -> tuple[NDArray[np.float32], Cost]:
    """Embeds each title of the catalog; a killed run resumes from the finished shards.

    Args:
        model: the LLM.
        builder: prompt builder, which holds the tokens of the titles.
        tokens_per_batch: maximum number of tokens in a batch, padding included.
        folder: existing folder for the shards of this LLM and catalog only.

    Returns:
        The embeddings, `[catalog rows, hidden]`, with zeros in row 0; and the cost of computing
        them.
    """
    work = titles_work(model, builder, tokens_per_batch, folder)
    compute_missing(work)
    return stored_embeddings(work, len(builder.titles)), work.cost


def titles_work(
    model: LanguageModel, builder: PromptBuilder, tokens_per_batch: int, folder: Path
) -> ShardedWork[int]:
    """Plans the work of `embed_titles_resumably`, which has the same arguments."""
    return lines_work(model, builder.titles[1:], tokens_per_batch, folder)


def lines_work(
    model: LanguageModel, lines: Sequence[TokenIds], tokens_per_batch: int, folder: Path
) -> ShardedWork[int]:
    """Plans to embed each tokenised title, in batches of item indices; 1 is the first of `lines`.

    Args:
        model: the LLM.
        lines: token ids of each title, with its newline.
        tokens_per_batch: maximum number of tokens in a batch, padding included.
        folder: existing folder for the shards.
    """
    items = np.arange(1, len(lines) + 1)
    lengths = np.array([len(line) for line in lines])
    shards = plan_shards(items.tolist(), lengths, tokens_per_batch, folder / "titles.npy")

    def embed(shard: Shard[int], advance: Advance) -> int:
        states = []
        for batch, tokens in zip(shard.batches, shard.batch_tokens, strict=True):
            with model.reporting_layers(advance, tokens):
                states.append(mean_states(model, [lines[item - 1] for item in batch]))
        write_array(shard.path, np.concatenate(states))
        return shard.tokens

    return ShardedWork("reading titles", shards, embed)


def stored_embeddings(work: ShardedWork[int], num_rows: int) -> NDArray[np.float32]:
    """Gathers the embeddings of complete work, `[num_rows, size]`; rows of no shard are zeros.

    Raises:
        KnowledgeError: shards have embeddings of different sizes.
    """
    embeddings = None
    for shard in work.shards:
        stored = np.load(shard.path, allow_pickle=False)
        if embeddings is None:
            embeddings = np.zeros((num_rows, stored.shape[1]), dtype=np.float32)
        if stored.shape[1] != embeddings.shape[1]:
            raise KnowledgeError(
                f"{shard.path}: embeddings of {stored.shape[1]} numbers, but others have "
                f"{embeddings.shape[1]}; the model has changed meanwhile: delete "
                f"{shard.path.parent}, and all titles are read again"
            )
        embeddings[np.concatenate(shard.batches)] = stored
    return np.zeros((num_rows, 0), dtype=np.float32) if embeddings is None else embeddings


def embed_titles(
    model: LanguageModel, builder: PromptBuilder, tokens_per_batch: int
) -> NDArray[np.float32]:
    """Embeds each title of the catalog, `[catalog rows, hidden]`; row 0 is zeros.

    A batch has at most `tokens_per_batch` tokens, padding included.
    """
    lengths = sum(map(len, builder.titles))
    with ProgressBar("embedding titles", lengths, "token") as bar:
        titles = embed_lines(model, builder.titles[1:], tokens_per_batch, bar.advance)
    return np.concatenate([np.zeros_like(titles[:1]), titles])


def embed_lines(
    model: LanguageModel,
    lines: Sequence[TokenIds],
    tokens_per_batch: int,
    advance: Advance = ignore_progress,
) -> NDArray[np.float32]:
    """Computes the mean of the LLM's states over each tokenised title, `[lines, hidden]`.

    Args:
        model: the LLM.
        lines: token ids of each title, with its newline.
        tokens_per_batch: maximum number of tokens in a batch, padding included.
        advance: called with the number of tokens read since its last call.
    """
    embeddings = np.zeros((len(lines), model.hidden_size), dtype=np.float32)
    lengths = np.array([len(line) for line in lines])
    for batch in token_bounded(lengths, tokens_per_batch):
        with model.reporting_layers(advance, int(lengths[batch].sum())):
            embeddings[batch] = mean_states(model, [lines[index] for index in batch])
    return embeddings


@torch.inference_mode()
def mean_states(model: LanguageModel, lines: Sequence[TokenIds]) -> NDArray[np.float32]:
    """Computes the mean of the LLM's states over each tokenised title, all titles in one batch.

    Returns `[lines, hidden]`.
    """
    tokens = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(line) for line in lines], batch_first=True
    )
    lengths = torch.tensor([len(line) for line in lines])[:, None]
    is_token = torch.arange(tokens.shape[1]) < lengths  # [lines, tokens]; the rest is padding
    states = model.hidden_states(tokens).float()
    sums = (states * is_token[:, :, None].to(states.device)).sum(dim=1).cpu()
    means: NDArray[np.float32] = (sums / lengths).numpy()
    return means
