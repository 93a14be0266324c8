"""A store of shards that several processes or machines share: a folder, or an address.

Of each shard, the store has three objects:

    NAME.claim           which process computes it, see `claims`
    NAME-TOKEN.npy       a result; several processes may have written one each
    NAME.json            the ledger: which result counts, its SHA-256, and its cost

The ledger is written once, if it does not exist yet, after the result. So a shard is complete if
its ledger exists, and all readers get the same result. NAME has fingerprints of the dataset, of the
teacher's settings and of the shard's prompts: work on other content has other names.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from export.contract.addresses.object_store import LostRaceError, ObjectStore, is_address
from export.contract.addresses.opening import open_store
from export.contract.records import BundleError
from training.errors import ShardError
from training.stage import fingerprint, whole_file
from training.teacher.llm.shards import Cost, Shard

MAX_RECORD_BYTES = 4_096
MAX_RESULT_BYTES = 2**34


@dataclass(frozen=True)
class Entry:
    """The content of a shard's ledger in the store.

    Attributes:
        result: name of the object with the result.
        sha256: SHA-256 of the result.
        part: process that computed it: a part such as 2/3, or a token.
        cost: tokens and seconds of computing it.
    """

    result: str
    sha256: str
    part: str
    cost: Cost


def name_of(shard: Shard[Any]) -> str:
    """Returns the name of a shard in the store: folder, number, and fingerprint of its batches."""
    path = shard.path
    return f"{path.parent.name}/{path.stem}-{fingerprint(shard.batch_tokens)}"


def open_shards(place: str) -> ObjectStore:
    """Opens the store at `place`: a folder, or an address such as s3://bucket/teaching.

    Raises:
        ShardError: the address cannot be opened.
    """
    with store_errors():
        return open_store(
            place if is_address(place) else f"file://{quote(str(Path(place).resolve()))}"
        )


@contextmanager
def store_errors() -> Iterator[None]:
    """Context manager that turns an error of the store, or of a file, into a ShardError."""
    try:
        yield
    except (BundleError, OSError) as error:
        raise ShardError(str(error)) from None


@dataclass(frozen=True)
class ShardStore:
    """Publishes and fetches results of shards.

    Attributes:
        objects: the store.
        token: random name of this process.
        part: description of this process in ledgers.
    """

    objects: ObjectStore
    token: str
    part: str

    def entry(self, shard: Shard[Any]) -> Entry | None:
        """Reads a shard's ledger; returns None if the shard is not complete.

        Raises:
            ShardError: the store does not answer, or the ledger is damaged.
        """
        name = f"{name_of(shard)}.json"
        with store_errors():
            found = self.objects.read(name, MAX_RECORD_BYTES)
        if found is None:
            return None
        try:
            ledger = json.loads(found.content)
            return Entry(**{**ledger, "cost": Cost(**ledger["cost"])})
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged(name, f"{type(error).__name__}: {error}", shard) from None

    def publish(self, shard: Shard[Any]) -> bool:
        """Uploads the result of a shard that is complete here; the first result to arrive counts.

        Returns False, and uploads nothing, if the result here is missing or damaged.

        Raises:
            ShardError: the store does not answer or cannot be written.
        """
        if (sha256 := shard.sha256_if_whole()) is None:
            return False
        name, suffix = name_of(shard), shard.path.suffix
        entry = Entry(f"{name}-{self.token}{suffix}", sha256, self.part, shard.cost)
        with store_errors():
            self.objects.upload(entry.result, shard.path)
            with suppress(LostRaceError):  # another process was faster, and its result counts
                self.objects.replace(f"{name}.json", json.dumps(asdict(entry)).encode(), None)
        return True

    def fetch(self, shard: Shard[Any], entry: Entry) -> None:
        """Copies the result that counts to the shard's file, unless it is there already.

        Raises:
            ShardError: the store does not answer, or the result is missing or damaged.
        """
        if shard.sha256_if_whole() == entry.sha256:
            return
        with store_errors(), whole_file(shard.path) as file:
            content = hashlib.sha256()
            for block in self.objects.blocks(entry.result, MAX_RESULT_BYTES):
                content.update(block)
                file.write(block)
            if content.hexdigest() != entry.sha256:
                raise self._damaged(entry.result, "its SHA-256 differs from the ledger's", shard)
        shard.write_ledger(entry.cost)

    def _damaged(self, name: str, reason: str, shard: Shard[Any]) -> ShardError:
        return ShardError(
            f"{self.objects.address}/{name}: damaged ({reason}); delete {name_of(shard)}.json "
            "there, and the shard is computed again"
        )
