"""Embeds titles by an OpenAI-compatible server; each request's answer is stored when it arrives."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import IMapIterator, ThreadPool
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import ConfigError
from training.progress import Advance
from training.stage import write_array
from training.teacher.encoders.encoder import first_items, one_batch_shards, text_of
from training.teacher.endpoint.client import Endpoint
from training.teacher.endpoint.embeddings import Embedded, embed_texts, estimated_tokens
from training.teacher.llm.shards import Shard, ShardedWork, divided

MAX_TITLE_CHARACTERS = 256  # longer titles are cut: models read a few hundred tokens at most
GRACE_SECONDS = 2.0  # after an error, for requests under way, so that their answers are stored


class TokenBudget:
    """Tokens that a server may read; threads may share it."""

    def __init__(self, limit: int | None, spent: int) -> None:
        """Creates the budget.

        Args:
            limit: maximum number of tokens; None for no limit.
            spent: number of tokens that earlier runs have spent of it.
        """
        self._limit, self._spent, self._lock = limit, spent, Lock()

    def reserve(self, tokens: int) -> None:
        """Counts the estimated tokens of a request before it is sent.

        Raises:
            ConfigError: the budget does not allow them.
        """
        with self._lock:
            if self._limit is not None and self._spent + tokens > self._limit:
                raise ConfigError(
                    f"teacher.endpoint.budget_tokens = {self._limit}: {self._spent} tokens are "
                    f"spent or under way, and the next request needs about {tokens}; raise it, and "
                    "`teach` goes on from there"
                )
            self._spent += tokens

    def correct(self, reserved: int, actual: int) -> None:
        """Replaces the estimated tokens of a request by those that the server has counted."""
        with self._lock:
            self._spent += actual - reserved


@dataclass(frozen=True)
class RemoteEncoder:
    """Embeds titles by requests to a server; a `TitleEncoder`.

    Attributes:
        endpoint: the client of the server.
        name: name of the model on the server.
        prefix: text before each title.
    """

    endpoint: Endpoint
    name: str
    prefix: str = ""

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles, `[titles, size]`, one request after the other.

        Raises:
            EndpointError: the server is unreachable, refuses a request, or answers malformed JSON.
        """
        starts = range(0, len(titles), self._most)
        batches = [titles[start : start + self._most] for start in starts]
        return np.concatenate([self._ask(batch).embeddings for batch in batches])

    def plan(self, titles: Sequence[str], folder: Path) -> ShardedWork[int]:
        """Implements `TitleEncoder.plan`; a title that several items have is sent once.

        Raises:
            ConfigError: the budget does not allow all titles.
        """
        items = list(first_items(titles).values())
        lengths = np.array([estimated_tokens(self._text(titles[item - 1])) for item in items])
        batches = [
            np.arange(start, min(start + self._most, len(items)))
            for start in range(0, len(items), self._most)
        ]
        shards = one_batch_shards(batches, items, lengths, folder)
        budget = self._budget(shards)

        def ask(shard: Shard[int], _: Advance) -> int:
            budget.reserve(shard.tokens)
            answer = self._ask([titles[item - 1] for item in shard.batches[0]])
            budget.correct(shard.tokens, answer.tokens)
            write_array(shard.path, answer.embeddings)
            return answer.tokens

        concurrency = self.endpoint.config.concurrency
        return ShardedWork("reading titles", shards, ask, concurrency, self._complete)

    @property
    def _most(self) -> int:
        return self.endpoint.config.titles_per_request

    def _text(self, title: str) -> str:
        return text_of(title, self.prefix)[: len(self.prefix) + MAX_TITLE_CHARACTERS]

    def _ask(self, titles: Sequence[str]) -> Embedded:
        return embed_texts(self.endpoint, self.name, [self._text(title) for title in titles])

    def _budget(self, shards: Sequence[Shard[int]]) -> TokenBudget:
        complete, missing = divided(shards)
        spent = sum(shard.cost.tokens for shard in complete)
        limit = self.endpoint.config.budget_tokens
        needed = sum(shard.tokens for shard in missing)
        if limit is not None and spent + needed > limit:
            raise ConfigError(
                f"teacher.endpoint.budget_tokens = {limit}: {spent} tokens are spent, and the "
                f"titles left need about {needed}; raise it"
            )
        return TokenBudget(limit, spent)

    def _complete(
        self, shards: Sequence[Shard[Any]], compute: Callable[[Shard[Any]], None]
    ) -> Iterator[Shard[Any]]:
        """Sends several requests at a time; implements `Complete`.

        After an error or an interrupt, no request is begun. Those under way are left to themselves
        after `GRACE_SECONDS`: the threads are daemons, for which no program waits at its end.
        """
        stopped = Event()

        def completed(shard: Shard[Any]) -> Shard[Any]:
            if not stopped.is_set():
                try:
                    compute(shard)
                except BaseException:  # before this thread begins the next shard
                    stopped.set()
                    raise
            return shard

        complete, missing = divided(shards)
        yield from complete
        with ThreadPool(self.endpoint.config.concurrency) as threads:
            found = threads.imap_unordered(completed, missing)
            try:
                yield from found
            except BaseException:  # also a keyboard interrupt
                stopped.set()
                self.endpoint.interrupt()
                _wait_for(found, GRACE_SECONDS)
                raise


def _wait_for(found: "IMapIterator[Any]", seconds: float) -> None:
    """Waits for the end of all that `found` iterates over, or until `seconds` have passed."""
    ends_at = time.monotonic() + seconds
    while True:
        try:
            found.next(max(0.0, ends_at - time.monotonic()))
        except (StopIteration, multiprocessing.TimeoutError):
            return
        except Exception:  # noqa: S112 - the first error is the one to raise
            continue
