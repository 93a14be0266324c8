"""Shards: long LLM work in parts on disk, so that a killed run resumes.

A finished shard is never computed again. Resumed work ends in the same bytes as uninterrupted work.
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

BATCHES_PER_SHARD = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Tokens and seconds that work with an LLM took, shards of interrupted runs included."""

    tokens: int
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        """Sums tokens and seconds."""
        return Cost(self.tokens + other.tokens, self.seconds + other.seconds)


@dataclass(frozen=True)
class Shard(Generic[T]):
    """Batches of prompts whose results share a file.

    Attributes:
        path: file of the results.
        batches: prompts, batch by batch.
        batch_tokens: tokens of each batch, as planned.
    """

    path: Path
    batches: Sequence[Sequence[T]]
    batch_tokens: Sequence[int]

    @property
    def tokens(self) -> int:
        """Tokens of all batches, as planned."""
        return sum(self.batch_tokens)

    @property
    def ledger(self) -> Path:
        """File of the shard's cost. It is written last: a shard that has one is complete."""
        return self.path.with_suffix(".json")

    @property
    def cost(self) -> Cost:
        """Cost of the finished shard, read from its ledger."""
        return Cost(**json.loads(self.ledger.read_text(encoding="utf-8")))


def plan_shards(
    prompts: Sequence[T], lengths: NDArray[np.int64], tokens_per_batch: int, first: Path
) -> list[Shard[T]]:
    """Groups prompts of similar length into batches, and batches into shards; deterministic.

    Args:
        prompts: work items.
        lengths: `[prompts]`, tokens of each.
        tokens_per_batch: bounds a padded batch.
        first: pattern of the files: `folder/states.npy` gives `folder/states-00000.npy`.
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
    """Computes every shard that is not on disk yet and returns the cost of all.

    Args:
        shards: all of the work.
        compute: writes the file of a shard and returns the tokens it took. It reports progress
            to its second argument, in planned tokens, as often as it can.
        label: names the progress bar.
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
