"""Reads and writes the files of the event log, in a local folder or at any address of fsspec.

A file is written under a temporary name and renamed, so that it is whole or absent. A local file is
synced to the disk when `write` returns.
"""

import hashlib
import os
import posixpath
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from export.contract.log.segments import sync_folder
from training.errors import DataError
from training.events.layout import Kind, Part, part_of
from training.events.schema import SCHEMAS, in_order

_COMPRESSION = "zstd"
_PARTIAL = ".partial"
_PARTIAL_SECONDS = 600  # a temporary file that is older was left by a killed process


class LogFolder:
    """The folder of an event log, local or in an object store."""

    def __init__(self, address: str) -> None:
        """Opens the log at `address`: a folder, or an address such as `s3://bucket/log`.

        Raises:
            DataError: this kind of address is unknown, or its library is not installed.
        """
        self.address = address
        try:
            self._files, self._root = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError) as error:
            raise DataError(f"{address}: cannot be opened: {error}") from None
        self._is_local = isinstance(self._files, LocalFileSystem)

    def parts(self, kind: Kind, begin: int | None = None, end: int | None = None) -> list[Part]:
        """Returns the files of one kind of records, ordered by hour and name.

        Args:
            kind: kind of the records.
            begin: first hour, in hours since 1970; None for no lower limit.
            end: hour after the last one, in hours since 1970; None for no upper limit.

        Raises:
            DataError: the folder cannot be listed.
        """
        # Listed twice: if a compaction replaces a file during a listing, that listing can miss both
        # the old file and the new one. The second listing has the new one.
        paths = {path for _ in range(2) for path in self._paths_of(kind)}
        return sorted(
            each
            for each in map(part_of, paths)
            if each is not None
            and (begin is None or each.hour >= begin)
            and (end is None or each.hour < end)
        )

    def read(self, part: Part) -> pa.Table:
        """Reads the records of a file, and verifies its hash and columns.

        Raises:
            FileNotFoundError: another process has replaced the file by a compacted one.
            DataError: the file cannot be read, is damaged or lacks a column.
        """
        try:
            content: bytes = self._files.cat_file(self._absolute(part.path))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DataError(f"{self.address}/{part.path}: cannot be read: {error}") from None
        if (found := hashlib.sha256(content).hexdigest()) != part.sha256:
            raise DataError(
                f"{self.address}/{part.path}: damaged: its SHA-256 is {found[:12]}…; restore it "
                "from a backup, or remove it and lose its records"
            )
        try:
            table = pq.read_table(pa.BufferReader(content), schema=None)
            return table.select(SCHEMAS[part.kind].names).cast(SCHEMAS[part.kind])
        except (pa.ArrowException, KeyError) as error:
            raise DataError(
                f"{self.address}/{part.path}: not a file of the event log: {error}"
            ) from None

    def write(self, kind: Kind, hour: int, records: pa.Table) -> Part:
        """Writes records of one partition as a new file, named by the hash of its content.

        `hour` is in hours since 1970. Writing equal records a second time changes nothing.

        Raises:
            OSError: the file cannot be written.
        """
        content = _as_parquet(in_order(kind, records, joins_entries=False))
        part = Part(kind, hour, hashlib.sha256(content).hexdigest())
        if not self._files.exists(self._absolute(part.path)):
            self.write_file(part.path, content)
        return part

    def write_file(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all; `name` is its path within the log.

        Raises:
            OSError: the file cannot be written.
        """
        path = self._absolute(name)
        partial = posixpath.join(posixpath.dirname(path), f".{token_hex(8)}{_PARTIAL}")
        if self._is_local:
            _write_to_disk(Path(partial), Path(path), Path(self._root), content)
        else:
            self._files.pipe_file(partial, content)
            self._files.mv(partial, path)

    def read_file(self, name: str) -> bytes | None:
        """Returns the content of a file; None if it does not exist."""
        try:
            content: bytes = self._files.cat_file(self._absolute(name))
        except FileNotFoundError:
            return None
        return content

    def remove(self, parts: Iterable[Part]) -> None:
        """Removes files, and local folders that are then empty; ignores missing files."""
        for part in parts:
            with suppress(FileNotFoundError):
                self._files.rm_file(self._absolute(part.path))
            if self._is_local:
                folder = Path(self._absolute(part.folder))
                with suppress(OSError):  # not empty
                    folder.rmdir()
                    folder.parent.rmdir()

    def remove_leftovers(self) -> None:
        """Removes temporary files that are over 10 minutes old, as killed processes leave them.

        Does nothing if the log is not local.
        """
        if not self._is_local:
            return
        oldest = time.time() - _PARTIAL_SECONDS
        for path in Path(self._root).rglob(f".*{_PARTIAL}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _paths_of(self, kind: Kind) -> Iterable[str]:
        self._files.invalidate_cache()
        folder = self._absolute(kind)
        try:
            found: list[str] = self._files.find(folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"{self.address}: cannot be listed: {error}") from None
        return [posixpath.relpath(path, self._root) for path in found]

    def _absolute(self, path: str) -> str:
        return posixpath.join(self._root, path)


def _as_parquet(records: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(records, buffer, compression=_COMPRESSION)
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def _new_file(path: Path, attempts: int = 10) -> BinaryIO:
    """Creates a file and its folder; again, if a compaction removes the folder, still empty."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
    except FileNotFoundError:
        if attempts == 1:
            raise
    return _new_file(path, attempts - 1)


def _write_to_disk(partial: Path, path: Path, root: Path, content: bytes) -> None:
    try:
        with _new_file(partial) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    for folder in path.parents:  # those below the root may be new, too
        sync_folder(folder)
        if folder == root.parent:
            break
