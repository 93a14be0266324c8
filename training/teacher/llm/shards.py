"""Shards: a long piece of work cut so that it survives a kill.

A shard on disk is never computed again, and work that was resumed ends in the same bytes as work
that was not interrupted.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.stage import write_text
from training.teacher.llm.windows import token_bounded

BATCHES_PER_SHARD = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What asking an LLM took; finished shards of killed runs are counted."""

    tokens: int
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        """What both took."""
        return Cost(self.tokens + other.tokens, self.seconds + other.seconds)


@dataclass(frozen=True)
class Shard(Generic[T]):
    """Some batches of prompts: their answers in `path`, what they cost in `ledger` beside it."""

    path: Path
    batches: Sequence[Sequence[T]]
    tokens: int

    @property
    def ledger(self) -> Path:
        """Written last: a shard with a ledger is whole."""
        return self.path.with_suffix(".json")

    @property
    def cost(self) -> Cost:
        """What its answers took."""
        return Cost(**json.loads(self.ledger.read_text(encoding="utf-8")))


def plan_shards(
    prompts: Sequence[T], lengths: NDArray[np.int64], tokens_per_batch: int, first: Path
) -> list[Shard[T]]:
    """Batches prompts of like `lengths` (in tokens) into shards, the same on every run.

    `first` names the file of a shard: `folder/states.npy` leads to `folder/states-00000.npy`.
    """
    batches = list(token_bounded(lengths, tokens_per_batch))
    return [
        Shard(
            path=first.with_stem(f"{first.stem}-{start:05d}"),
            batches=[[prompts[index] for index in batch] for batch in chunk],
            tokens=sum(int(lengths[batch].sum()) for batch in chunk),
        )
        for start, chunk in _chunks(batches)
    ]


def _chunks(
    batches: Sequence[NDArray[np.int64]],
) -> Iterator[tuple[int, Sequence[NDArray[np.int64]]]]:
    for start in range(0, len(batches), BATCHES_PER_SHARD):
        yield start, batches[start : start + BATCHES_PER_SHARD]


def complete(shards: Sequence[Shard[T]], work: Callable[[Shard[T]], int], description: str) -> Cost:
    """Has `work` write each shard that is missing and return the tokens it took."""
    missing = [shard for shard in shards if not shard.ledger.exists()]
    total, to_do = (sum(each.tokens for each in some) for some in (shards, missing))
    with tqdm(
        total=total, initial=total - to_do, desc=description, unit="token", unit_scale=True
    ) as bar:
        for shard in missing:
            began = time.perf_counter()
            tokens = work(shard)
            cost = {"tokens": tokens, "seconds": round(time.perf_counter() - began, 1)}
            write_text(shard.ledger, json.dumps(cost))
            bar.update(shard.tokens)
    return sum((shard.cost for shard in shards), Cost(0, 0.0))
