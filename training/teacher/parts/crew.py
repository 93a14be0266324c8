"""Completes shards together with other processes that share a store."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.errors import ShardError
from training.teacher.llm.shards import Shard
from training.teacher.parts.claims import Claims
from training.teacher.parts.part import Part
from training.teacher.parts.shard_store import ShardStore, name_of, open_shards

_LOOKS_PER_TAKEOVER = 12


@dataclass
class Crew:
    """One process of several that complete the same shards; `complete` implements `Complete`.

    Attributes:
        store: where results are shared.
        claims: claims of this process.
        part: part of this process; its shards are computed first.
        fetches: whether results of other processes are copied to the shards' files.
        computed: number of shards that this process has computed.
    """

    store: ShardStore
    claims: Claims
    part: Part
    fetches: bool
    computed: int = field(default=0, init=False)

    def complete(
        self, shards: Sequence[Shard[Any]], compute: Callable[[Shard[Any]], None]
    ) -> Iterator[Shard[Any]]:
        """Yields each shard when it is complete; returns when all are, by whichever process.

        A shard that another process has claimed is waited for, and computed here if that process
        was killed.

        Raises:
            ShardError: the store does not answer, cannot be written or is damaged, or a result that
                was just computed is.
        """
        left = self.part.ordered(shards)
        while left:
            claimed_by_others = []
            for shard in left:
                if self._is_complete(shard) or self._compute(shard, compute):
                    yield shard
                else:
                    claimed_by_others.append(shard)
            left = claimed_by_others
            if left:
                time.sleep(self.claims.takeover_seconds / _LOOKS_PER_TAKEOVER)

    def _is_complete(self, shard: Shard[Any]) -> bool:
        entry = self.store.entry(shard)
        if entry is None and self.store.publish(shard):
            entry = self.store.entry(shard)
        if entry and self.fetches:
            self.store.fetch(shard, entry)
        return entry is not None

    def _compute(self, shard: Shard[Any], compute: Callable[[Shard[Any]], None]) -> bool:
        with self.claims.claimed(name_of(shard)) as has_claim:
            if not has_claim:
                return False
            # The former holder may have published between the look at the ledger and the claim.
            if self.store.entry(shard) is None:
                compute(shard)
                self.computed += 1
                if not self.store.publish(shard):
                    raise ShardError(f"{shard.path}: damaged once it was written; check the disk")
            return self._is_complete(shard)


def join_crew(place: str, part: Part | None, takeover_seconds: float) -> Crew:
    """Makes this process one of those that share the store at `place`.

    Args:
        place: folder or address of the store.
        part: part of this process; None if it is to have all results in the end.
        takeover_seconds: time without a sign of life after which the shard of another process is
            computed here.

    Raises:
        ShardError: the address cannot be opened.
    """
    objects, token = open_shards(place), secrets.token_hex(8)
    name = str(part) if part else None
    return Crew(
        ShardStore(objects, token, name or token),
        Claims(objects, token, name, takeover_seconds),
        part or Part(1, 1),
        fetches=part is None,
    )
