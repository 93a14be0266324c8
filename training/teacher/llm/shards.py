"""Shards: parts of a long computation of an LLM, each with a file of its results.

If a run is killed, the next run computes only the shards that are not complete. It ends with
exactly the results of an uninterrupted run.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from tokenize import TokenError
from typing import Any, Generic, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from training.progress import Advance, ProgressBar
from training.stage import write_text
from training.teacher.llm.windows import token_bounded

BATCHES_PER_SHARD = 16  # maximum number of batches in a shard

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Number of tokens and seconds of an LLM's work, finished shards of killed runs included."""

    tokens: int
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        """Returns the sums of the tokens and of the seconds of two parts of work."""
        return Cost(self.tokens + other.tokens, self.seconds + other.seconds)


@dataclass(frozen=True)
class _Entry:
    """The content of a shard's ledger."""

    cost: Cost
    sha256: str | None


@dataclass(frozen=True)
class Shard(Generic[T]):
    """Batches of prompts whose results are stored together in one file.

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
        """Path of the JSON file with the shard's cost and the SHA-256 of the results.

        The file is written after the results. A ledger that is damaged counts as absent. Ledgers
        of former releases have no SHA-256.
        """
        return self.path.with_suffix(".json")

    @property
    def is_complete(self) -> bool:
        """Whether results and ledger are on the disk, and whole; all results are read for it."""
        return self.sha256_if_whole() is not None

    @property
    def cost(self) -> Cost:
        """Cost of the shard, read from the file `ledger`; the shard must be complete."""
        entry = self._entry()
        if entry is None:
            raise FileNotFoundError(self.ledger)
        return entry.cost

    def write_ledger(self, cost: Cost) -> None:
        """Writes the file `ledger`, which completes the shard; the results must be on the disk."""
        write_text(self.ledger, json.dumps({**asdict(cost), "sha256": _sha256(self.path)}))

    def sha256_if_whole(self) -> str | None:
        """Reads the results and returns their SHA-256; None if they are missing or damaged."""
        entry = self._entry()
        if entry is None or not self.path.exists():
            return None
        found = _sha256(self.path)
        is_whole = found == entry.sha256 if entry.sha256 else _is_readable(self.path)
        return found if is_whole else None

    def _entry(self) -> _Entry | None:
        """Reads the file `ledger`; returns None if it is missing or damaged."""
        try:
            found = json.loads(self.ledger.read_text(encoding="utf-8"))
            cost = Cost(int(found["tokens"]), float(found["seconds"]))
            return _Entry(cost, found.get("sha256"))
        except (FileNotFoundError, ValueError, TypeError, KeyError, OverflowError):
            return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_readable(path: Path) -> bool:
    """Returns whether a file of NumPy, `.npy` or `.npz`, has all of its bytes."""
    zip_errors = (BadZipFile, RuntimeError, zlib.error)  # RuntimeError: the method is not known
    try:
        with path.open("rb") as file:  # NumPy would leave a damaged file open
            found = np.load(file, allow_pickle=False)
            return isinstance(found, np.ndarray) or bool([*found.values()])
    except (OSError, EOFError, ValueError, TokenError, *zip_errors):
        return False


def plan_shards(
    prompts: Sequence[T], lengths: NDArray[np.int64], tokens_per_batch: int, first: Path
) -> list[Shard[T]]:
    """Groups prompts of similar length into batches, and batches into shards.

    The same arguments always give the same shards.

    Args:
        prompts: the prompts, or objects that prompts can be made from.
        lengths: `[prompts]`, number of tokens of each prompt.
        tokens_per_batch: maximum number of tokens in a batch, padding included. A longer prompt is
            a batch of its own.
        first: path that the paths of shards are made from. `folder/states.npy` gives
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


Complete = Callable[[Sequence[Shard[Any]], Callable[[Shard[Any]], None]], Iterator[Shard[Any]]]
"""A function that completes all of the given shards, and yields each when it is complete.

Its second argument computes one shard and writes the file and the ledger.
"""


def complete_alone(
    shards: Sequence[Shard[Any]], compute: Callable[[Shard[Any]], None]
) -> Iterator[Shard[Any]]:
    """Computes every shard that is not complete yet, in order; implements `Complete`."""
    for shard in shards:
        if not shard.is_complete:
            compute(shard)
        yield shard


def divided(shards: Sequence[Shard[T]]) -> tuple[list[Shard[T]], list[Shard[T]]]:
    """Returns the shards that are complete, and those that are not, each in order."""
    are_complete = [shard.is_complete for shard in shards]
    missing = [not is_complete for is_complete in are_complete]
    return [*compress(shards, are_complete)], [*compress(shards, missing)]


@dataclass(frozen=True)
class ShardedWork(Generic[T]):
    """A long computation of an LLM, in shards.

    Attributes:
        label: name of the work, for the progress bar.
        shards: all shards, complete ones included.
        compute: computes a shard, writes its file and returns the number of tokens that the LLM
            read and wrote. It regularly calls its second argument with the number of planned tokens
            done since the last call.
        concurrency: number of shards that are computed at a time. The time of each is divided by
            it, so that the sum is about the time of all.
        complete: completes the shards in one process.
    """

    label: str
    shards: Sequence[Shard[T]]
    compute: Callable[[Shard[T], Advance], int]
    concurrency: int = 1
    complete: Complete = complete_alone

    @property
    def cost(self) -> Cost:
        """Cost of all shards, which must be complete."""
        return sum((shard.cost for shard in self.shards), Cost(0, 0.0))


def compute_missing(work: ShardedWork[Any], complete: Complete | None = None) -> None:
    """Completes every shard of `work` that is not complete yet, and shows the progress.

    Args:
        work: the computation.
        complete: function that decides which shards this process computes, and when; None takes
            that of `work`.
    """
    missing = {shard.path: shard.tokens for shard in divided(work.shards)[1]}
    total = sum(shard.tokens for shard in work.shards)
    done = total - sum(missing.values())
    concurrency = 1 if complete else work.concurrency
    with ProgressBar(work.label, total, "token", done=done) as bar:

        def compute(shard: Shard[Any]) -> None:
            began = time.perf_counter()
            tokens = work.compute(shard, bar.advance)
            seconds = (time.perf_counter() - began) / concurrency
            shard.write_ledger(Cost(tokens, round(seconds, 3)))

        for shard in (complete or work.complete)(work.shards, compute):
            done += missing.get(shard.path, 0)
            bar.move_to(done)
