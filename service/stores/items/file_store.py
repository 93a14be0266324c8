"""A store of records of items in an append-only file: each line adds a record or removes one.

The first line of a file has its generation, a random number. The version of the store is this
generation, the file's inode number and its current size in bytes. Files of earlier releases have no
generation until they are compacted.

Processes on one machine can share the file, because writers lock it. The first write of a process
compacts the file, and so does a later one when the file has grown much: a new file without replaced
and removed records replaces the old one.
"""

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Generic

import orjson
from anyio import to_thread

from service.errors import ConflictError, ItemStoreUnavailableError
from service.stores.items.protocol import AddedItem, Change, Changes, R, Record, store_is_full

logger = logging.getLogger(__name__)

_GROWTH, _GROWTH_BYTES = 2, 16 << 20
"""A file is compacted again beyond its compact size times the one plus the other."""

_GENERATION = re.compile(rb'\{"generation":"([0-9a-f]{32})"\}\n')
_GENERATION_BYTES = 52


class FileItemStore(Generic[R]):
    """Stores records of items in a file; creates the file and its folder at the first write."""

    def __init__(self, path: Path, max_items: int, kind: type[R]) -> None:
        """Makes a store that opens its file at each use.

        Args:
            path: path of the file.
            max_items: maximum number of records.
            kind: class of the records.
        """
        self._path = path
        self._max_items = max_items
        self._kind = kind
        self._writing = Lock()  # of this process' threads, so that one of them compacts the file
        # The records in the file when this process last wrote; changed under the file's lock only.
        self._version = ""
        self._items: dict[str, R] = {}
        self._max_bytes = 0  # size of the file from which on this process compacts it again

    async def put(self, record: R) -> None:
        """Implements `ItemStore.put`."""
        await self.update(record.item_id, lambda _: record)

    async def remove(self, item_id: str) -> None:
        """Implements `ItemStore.remove`."""
        await self.update(item_id, lambda _: None)

    async def update(self, item_id: str, change: Change[R]) -> None:
        """Implements `ItemStore.update`."""
        for error in (await self.update_many({item_id: change})).values():
            raise error

    async def update_many(self, changes: Mapping[str, Change[R]]) -> Mapping[str, ConflictError]:
        """Implements `ItemStore.update_many`; all records share an fsync."""
        if not changes:
            return {}
        without_room = await to_thread.run_sync(self._write, changes)
        return dict.fromkeys(without_room, store_is_full(self._max_items, self._kind))

    async def reach(self) -> None:
        """Implements `ItemStore.reach`: a file is always reached."""

    async def changes(self, since: str) -> Changes[R]:
        """Implements `ItemStore.changes`."""
        return await to_thread.run_sync(self._read, since)

    async def close(self) -> None:
        """Implements `ItemStore.close`."""

    def _write(self, changes: Mapping[str, Change[R]]) -> Collection[str]:
        """Appends the lines of `changes` to the file, under its lock; returns the ids without room.

        First applies the changes of other processes to `_items`.
        """
        with self._writing, _unavailable(self._path, self._kind):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            size = self._path.stat().st_size if self._path.exists() else 0
            if not self._version or size == 0 or size > self._max_bytes:
                self._max_bytes = _GROWTH * _compact(self._path, self._kind) + _GROWTH_BYTES
            with _locked(self._path) as file:
                known = _changes(file, self._version, self._kind)
                self._items = known.applied_to(self._items)
                self._version = known.version
                lines, without_room = self._lines(changes)
                if lines:
                    file.write(_end_of_torn_line(file) + b"".join(lines))
                    file.flush()
                    os.fsync(file.fileno())
        return without_room

    def _lines(self, changes: Mapping[str, Change[R]]) -> tuple[list[bytes], list[str]]:
        """Returns the lines to append for `changes`, and the ids of the items without room."""
        lines, without_room, num_items = list[bytes](), list[str](), len(self._items)
        for item_id, change in changes.items():
            known = self._items.get(item_id)
            record = change(known)
            if record == known:
                continue
            num_items += (record is not None) - (known is not None)
            if record is None:
                lines.append(orjson.dumps({"removed": item_id}) + b"\n")
            elif known is None and num_items > self._max_items:
                num_items -= 1
                without_room.append(item_id)
            else:
                lines.append(record.to_json() + b"\n")
        return lines, without_room

    def _read(self, since: str) -> Changes[R]:
        with _unavailable(self._path, self._kind):
            try:
                file = self._path.open("rb")
            except FileNotFoundError:
                return Changes("none", {}, is_complete=since != "none")
            with file:
                return _changes(file, since, self._kind)


class FileAddedItemStore(FileItemStore[AddedItem]):
    """Stores added items in a file."""

    def __init__(self, path: Path, max_items: int) -> None:
        super().__init__(path, max_items, AddedItem)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Context manager that opens a file for reading and appending, under an exclusive lock.

    If another process replaced the file before the lock was obtained, opens the new file.
    """
    while True:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return


def _compact(path: Path, kind: type[R]) -> int:
    """Replaces the file by one without replaced and removed records; returns its size in bytes.

    The new file has a generation of its own, because it may get the inode of a deleted one. A file
    that has a generation and only current records stays.
    """
    with _locked(path) as file:
        generation = _generation(file)
        content = file.read()
        items = [each for each in _replay(content, kind).values() if each]
        if generation and content.count(b"\n") == len(items):
            return file.tell()
        compact = path.with_name(f".{path.name}.compact")
        with compact.open("wb") as successor:
            successor.write(orjson.dumps({"generation": secrets.token_hex(16)}) + b"\n")
            successor.writelines(each.to_json() + b"\n" for each in items)
            successor.flush()
            os.fsync(successor.fileno())
            size = successor.tell()
        compact.replace(path)
        return size


def _generation(file: BinaryIO) -> str:
    """Returns the generation in the first line of a file, "" if there is none.

    The file's position is then that of the first record.
    """
    file.seek(0)
    found = _GENERATION.match(file.read(_GENERATION_BYTES))
    file.seek(found.end() if found else 0)
    return found[1].decode() if found else ""


def _end_of_torn_line(file: BinaryIO) -> bytes:
    """Returns a line feed if the file does not end with one, else no bytes.

    A crash can leave an incomplete last line. The line feed ends it, so that readers skip it.
    """
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read() == b"\n" else b"\n"


def _changes(file: BinaryIO, since: str, kind: type[R]) -> Changes[R]:
    known, _, read = since.partition(":")
    state = os.fstat(file.fileno())
    identity = f"{_generation(file)}.{state.st_ino}"
    # The size is compared too, because the file may be cut, or be replaced by an earlier copy.
    is_complete = known != identity or int(read) > state.st_size
    offset = file.tell() if is_complete else int(read)
    file.seek(offset)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    items = _replay(whole, kind)
    if is_complete:
        items = {key: each for key, each in items.items() if each}
    return Changes(f"{identity}:{offset + len(whole)}", items, is_complete)


def _replay(content: bytes, kind: type[R]) -> dict[str, R | None]:
    """Returns the last record of each item in the lines `content`; None if it was removed.

    The result is keyed by item id, in the order in which the ids first occur. Unreadable lines are
    logged and skipped, and so is a last line without a line feed. `kind`: class of the records.
    """
    items: dict[str, R | None] = {}
    for line in content.split(b"\n")[:-1]:
        try:
            removal = orjson.loads(line)
            if isinstance(removal, dict) and isinstance(removal.get("removed"), str):
                items[removal["removed"]] = None
                continue
            record = kind.from_json(line)
        except ValueError as error:
            logger.warning("a line of the %s items is skipped: %s", kind.STATE, error)
        else:
            items[record.item_id] = record
    return items


@contextmanager
def _unavailable(path: Path, kind: type[Record]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ItemStoreUnavailableError(
            f"the store of {kind.STATE} items cannot use its file {path}: {error.strerror}"
        ) from error
