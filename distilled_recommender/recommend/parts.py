"""Stores the parts of an unfinished output file, each as one file that is complete or absent.

The parts are in a folder beside the output file. A stamp in that folder is a hash of the input,
bundle and question; parts with another stamp are refused. A run locks the folder.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.errors import ConfigError
from training.progress import Advance, ignore_progress

_STAMP = "stamp"
_JOINED = "joined.parquet"


@dataclass(frozen=True)
class Parts:
    """The stored parts of one output file that is not finished yet.

    Attributes:
        out: path of the output file.
    """

    out: Path

    @property
    def folder(self) -> Path:
        """Path of the folder of the parts, `<out>.parts`."""
        return self.out.with_name(f"{self.out.name}.parts")

    def path(self, number: int) -> Path:
        """Returns the path of the part with the number `number`."""
        return self.folder / f"part-{number:08}.parquet"

    @contextmanager
    def open(self, stamp: str) -> Iterator[None]:
        """Context manager that holds the folder of the parts for this run alone.

        Creates the folder, or keeps an existing one with the same stamp. The system releases its
        lock if the process is killed.

        Raises:
            ConfigError: another run holds the folder or has just finished the output file, or the
                folder has another stamp.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(self.folder, os.O_RDONLY)
        except FileNotFoundError:  # another run has just joined its parts
            raise self._busy() from None
        try:
            self._lock(descriptor)
            self._check(stamp)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._busy() from None
        if self.out.exists():  # another run has finished it since this one looked
            with suppress(OSError):
                self.folder.rmdir()  # if that run has removed it, and this one made it again
            raise self._busy()

    def _busy(self) -> ConfigError:
        return ConfigError(
            f"{self.out}: another run writes this file: wait for its end, or choose another one"
        )

    def _check(self, stamp: str) -> None:
        path = self.folder / _STAMP
        if not path.exists():
            replace_file(path, lambda unfinished: unfinished.write_text(stamp))
        elif path.read_text() != stamp:
            raise ConfigError(
                f"{self.folder} has parts of another input, bundle or question: remove this "
                "folder to begin anew, or choose another output file"
            )

    def write(self, number: int, table: pa.Table) -> None:
        """Writes `table` as the part with the number `number`, atomically."""
        repeating = _repeating(table.schema)
        replace_file(
            self.path(number),
            lambda unfinished: pq.write_table(table, unfinished, use_dictionary=repeating),
        )

    def join(self, numbers: Sequence[int], advance: Advance = ignore_progress) -> None:
        """Writes the output file from the parts `numbers`, in this order, and removes all parts.

        Only one part at a time is in memory. `advance` counts the rows.
        """
        # In the folder of the parts, so that a killed run leaves nothing that the next one keeps.
        joined = self.folder / _JOINED
        schema = pq.read_schema(self.path(numbers[0]))
        repeating = _repeating(schema)
        with pq.ParquetWriter(joined, schema, use_dictionary=repeating) as writer:
            for number in numbers:
                part = pq.read_table(self.path(number))
                writer.write_table(part)
                advance(len(part))
        joined.replace(self.out)
        self._remove()

    def _remove(self) -> None:
        """Removes the folder, its stamp last: what a kill leaves is still refused to other runs."""
        stamp = self.folder / _STAMP
        for path in self.folder.iterdir():
            if path != stamp:
                path.unlink()
        shutil.rmtree(self.folder)


def _repeating(schema: pa.Schema) -> list[str]:
    """Returns the Parquet names of the columns whose values are stored once, and then by number.

    Those are all but columns of floats or of lists of floats. Their values rarely repeat, and to
    find that out would take most of the time of writing.
    """
    names = []
    for field in schema:
        is_list = pa.types.is_list(field.type)
        if not pa.types.is_floating(field.type.value_type if is_list else field.type):
            names.append(f"{field.name}.list.element" if is_list else field.name)
    return names


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path, and then renames the written file to `path`.

    If `write` raises, for example on a full disk, the temporary file is removed.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
