"""Claims: which process computes a shard, so that no other does so at the same time.

A process renews its claim while it computes. If a claim does not change for `takeover_seconds`, by
the clock of the process that waits for it, its holder was killed, and it can be taken over. So
clocks of machines are never compared. Claims only save work: if two processes compute a shard after
all, the first result counts.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from export.contract.addresses.object_store import LostRaceError, ObjectStore, Stored
from export.contract.records import BundleError
from training.teacher.parts.shard_store import MAX_RECORD_BYTES, store_errors

_RENEWALS_PER_TAKEOVER = 4


@dataclass
class Claims:
    """Claims of one process in a store.

    Attributes:
        objects: the store.
        token: random name of this process.
        part: part that this process has, such as 2/3; its predecessor's claims are taken over at
            once. If None, every claim is waited for.
        takeover_seconds: time without renewal after which a claim can be taken over.
    """

    objects: ObjectStore
    token: str
    part: str | None
    takeover_seconds: float
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    @contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Context manager that tries to claim the shard `name`; yields whether it succeeded.

        The claim is renewed within the block.

        Raises:
            ShardError: the store does not answer or cannot be written.
        """
        with store_errors():
            has_claim = self._take(f"{name}.claim")
        if not has_claim:
            yield False
            return
        ended = Event()
        renewing = Thread(target=self._renew, args=(f"{name}.claim", ended), daemon=True)
        renewing.start()
        try:
            yield True
        finally:
            ended.set()
            renewing.join()

    def _take(self, name: str) -> bool:
        found = self.objects.read(name, MAX_RECORD_BYTES)
        if found and not self._is_free(name, found):
            return False
        try:
            self._write(name, found)
        except LostRaceError:
            return False
        return True

    def _is_free(self, name: str, claim: Stored) -> bool:
        if self.part is not None and _owner(claim).get("part") == self.part:
            return True  # of the predecessor of this process
        version, since = self._seen.get(name, (None, 0.0))
        if version != claim.version:
            self._seen[name] = (claim.version, time.monotonic())
            return False
        return time.monotonic() - since >= self.takeover_seconds

    def _renew(self, name: str, ended: Event) -> None:
        while not ended.wait(self.takeover_seconds / _RENEWALS_PER_TAKEOVER):
            try:
                found = self.objects.read(name, MAX_RECORD_BYTES)
                if found is None or _owner(found).get("token") != self.token:
                    return
                self._write(name, found)
            except LostRaceError:
                return
            except (BundleError, OSError):
                continue  # the store may answer before another takes over

    def _write(self, name: str, found: Stored | None) -> None:
        claim = {"part": self.part, "token": self.token, "renewed": time.time_ns()}
        self.objects.replace(name, json.dumps(claim).encode(), found.version if found else None)


def _owner(claim: Stored) -> dict[str, object]:
    """Returns the fields of a claim; empty if it is damaged, so that it is waited for."""
    try:
        found = json.loads(claim.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
