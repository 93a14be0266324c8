"""Shards: parts of long LLM work, each with a file of its results, so that a killed run resumes.

A finished shard is not computed again. A resumed run ends with exactly the results of an
uninterrupted one.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.progress import Advance, ProgressBar
from training.stage import write_text
from training.teacher.llm.windows import token_bounded

BATCHES_PER_SHARD = 16  # maximum number of batches in a shard

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Number of tokens and seconds that LLM work took, finished shards of killed runs included."""

    tokens: int
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        """Adds tokens and seconds of two parts of work."""
        return Cost(self.tokens + other.tokens, self.seconds + other.seconds)


@dataclass(frozen=True)
class Shard(Generic[T]):
    """Some batches of prompts whose results are stored together in one file.

    Attributes:
        path: file of the results.
        batches: prompts of each batch.
        batch_tokens: planned number of tokens of each batch, without padding.
    """

    path: Path
    batches: Sequence[Sequence[T]]
    batch_tokens: Sequence[int]

    @property
    def tokens(self) -> int:
        """Planned number of tokens of all batches."""
        return sum(self.batch_tokens)

    @property
    def ledger(self) -> Path:
        """Path of the file with the shard's cost.

        It is written after the results, so a shard with this file is complete.
        """
        return self.path.with_suffix(".json")

    @property
    def cost(self) -> Cost:
        """Cost of the shard, read from `ledger`; the shard must be complete."""
        return Cost(**json.loads(self.ledger.read_text(encoding="utf-8")))


def plan_shards(
    prompts: Sequence[T], lengths: NDArray[np.int64], tokens_per_batch: int, first: Path
) -> list[Shard[T]]:
    """Groups prompts of similar length into batches, and batches into shards.

    The same arguments always give the same shards.

    Args:
        prompts: the prompts, or objects that they can be made from.
        lengths: `[prompts]`, number of tokens of each prompt.
        tokens_per_batch: maximum number of tokens in a batch, padding included.
        first: path that file names are made from: `folder/states.npy` gives
            `folder/states-00000.npy`, and so on.
    """
    batches = list(token_bounded(lengths, tokens_per_batch))
    return [
        Shard(
            path=first.with_stem(f"{first.stem}-{start:05d}"),
            batches=[[prompts[index] for index in batch] for batch in chunk],
            batch_tokens=[int(lengths[batch].sum()) for batch in chunk],
        )
        for start, chunk in _chunks(batches)
    ]


def _chunks(
    batches: Sequence[NDArray[np.int64]],
) -> Iterator[tuple[int, Sequence[NDArray[np.int64]]]]:
    for start in range(0, len(batches), BATCHES_PER_SHARD):
        yield start, batches[start : start + BATCHES_PER_SHARD]


def compute_missing(
    shards: Sequence[Shard[T]], compute: Callable[[Shard[T], Advance], int], label: str
) -> Cost:
    """Computes every shard that is not complete yet and returns the cost of all shards.

    Args:
        shards: all shards, complete ones included.
        compute: computes a shard, writes its file and returns the number of tokens read and
            written. It calls its second argument often, with the number of planned tokens that were
            done since the last call.
        label: text before the progress bar.
    """
    missing = [shard for shard in shards if not shard.ledger.exists()]
    total = sum(shard.tokens for shard in shards)
    done = total - sum(shard.tokens for shard in missing)
    with ProgressBar(label, total, "token", done=done) as bar:
        for shard in missing:
            began = time.perf_counter()
            tokens = compute(shard, bar.advance)
            cost = {"tokens": tokens, "seconds": round(time.perf_counter() - began, 1)}
            write_text(shard.ledger, json.dumps(cost))
            done += shard.tokens
            bar.move_to(done)
    return sum((shard.cost for shard in shards), Cost(0, 0.0))
