"""The parts of an unfinished output file: each is one file that is whole or absent.

They lie in a folder beside the output. A stamp in it says what they were made of; parts of another
input, bundle or question are refused.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.errors import ConfigError

_STAMP = "stamp"


@dataclass(frozen=True)
class Parts:
    """The parts of one output file."""

    out: Path

    @property
    def folder(self) -> Path:
        """The folder of the parts."""
        return self.out.with_name(f"{self.out.name}.parts")

    def path(self, number: int) -> Path:
        """Returns the file of a part."""
        return self.folder / f"part-{number:08}.parquet"

    def open(self, stamp: str) -> None:
        """Makes the folder, or continues it if its parts were made of the same things.

        Raises:
            ConfigError: the folder holds parts that were made of something else.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _STAMP
        if not path.exists():
            _replace(path, lambda unfinished: unfinished.write_text(stamp))
        elif path.read_text() != stamp:
            raise ConfigError(
                f"{self.folder} holds parts of another input, bundle or question: remove this "
                "folder to begin anew, or choose another output file"
            )

    def write(self, number: int, table: pa.Table) -> None:
        """Writes a part."""
        _replace(self.path(number), lambda unfinished: pq.write_table(table, unfinished))

    def join(self, numbers: Sequence[int]) -> None:
        """Writes the output file from all parts, in their order, and removes the parts.

        One part at a time is in memory.
        """

        def copy(unfinished: Path) -> None:
            with pq.ParquetWriter(unfinished, pq.read_schema(self.path(numbers[0]))) as writer:
                for number in numbers:
                    writer.write_table(pq.read_table(self.path(number)))

        _replace(self.out, copy)
        shutil.rmtree(self.folder)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under a temporary name, and then gives it its own name."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    write(unfinished)
    unfinished.replace(path)
