"""Reads CSV, Parquet, Arrow and RecBole files with all values as text, so that ids stay as written.

A table is read in batches of rows, so that it may be larger than memory.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from training.data.raw import Origin
from training.data.sources.atomic_file import with_plain_columns
from training.data.sources.columnar_file import (
    ROWS_A_BATCH,
    Batches,
    Select,
    arrow_batches,
    parquet_batches,
)
from training.data.sources.table_files import TableFile, find_table_files
from training.errors import DataError

_BUFFER = 1 << 20  # bytes that are read at once


@dataclass(frozen=True)
class TextBatch:
    """Consecutive rows of a file, with all values as text or missing.

    Attributes:
        file: path of the file.
        rows: the rows.
        num_bytes: approximate number of bytes of the file that were read for the rows.
    """

    file: Path
    rows: pd.DataFrame
    num_bytes: float


def read_text_table(
    path: Path, required: Sequence[str], optional: Sequence[str] | None = None
) -> pd.DataFrame:
    """Reads a whole table as text: the columns `required`, and those of `optional` that exist.

    With `optional` None, all columns are read. Missing values stay missing.

    Raises:
        DataError: a file or a required column is missing, or for another reason of
            `read_text_batches`.
    """
    return read_with_origin(path, required, optional)[0]


def read_with_origin(
    path: Path, required: Sequence[str], optional: Sequence[str] | None = None
) -> tuple[pd.DataFrame, Origin]:
    """Reads a whole table as `read_text_table` does; also returns the files of its rows."""
    first_rows: dict[str, int] = {}
    parts: list[pd.DataFrame] = []
    num_rows = 0
    for batch in read_text_batches(path, required, optional):
        first_rows.setdefault(str(batch.file), num_rows + 1)
        num_rows += len(batch.rows)
        parts.append(batch.rows)
    return pd.concat(parts, ignore_index=True), Origin.of_table(path, first_rows)


def read_text_batches(
    path: Path, required: Sequence[str], optional: Sequence[str] | None = None
) -> Iterator[TextBatch]:
    """Reads columns of a table as text, batch by batch; missing values stay missing.

    Args:
        path: .csv, .parquet, .arrow, .inter or .item file, or a folder or pattern of such files.
        required: names of columns that must exist.
        optional: names of columns to read if they exist; None reads all columns.

    Raises:
        DataError: a file is missing, has another suffix or cannot be read, a required column is
            missing, files have different columns, or there are no rows.
    """
    columns: list[str] | None = None
    num_rows = 0
    for file in find_table_files(path):
        num_bytes = 0.0
        for rows, bytes_read in _read_file(file, required, optional):
            columns = list(rows.columns) if columns is None else columns
            if set(rows.columns) != set(columns):
                raise DataError(
                    f"{file.path}: columns {', '.join(rows.columns)}: must be those of the files "
                    f"before it: {', '.join(columns)}"
                )
            num_rows += len(rows)
            yield TextBatch(file.path, rows[columns], bytes_read - num_bytes)
            num_bytes = bytes_read
    if not num_rows:
        raise DataError(f"{path}: no rows")


def is_blank(values: "pd.Series[str]") -> "pd.Series[bool]":
    """Returns a mask of the values that are missing, empty or only white space, `[rows]`."""
    return values.isna() | (values.str.strip() == "")


def _read_file(file: TableFile, required: Sequence[str], optional: Sequence[str] | None) -> Batches:
    """Yields the rows of a file as text, batch by batch, with its partition's values as columns.

    Each batch comes with the number of the file's bytes read so far.
    """

    def is_wanted(name: str) -> bool:
        return optional is None or name in required or name in optional

    def select(names: Sequence[str]) -> list[str]:
        if absent := [name for name in required if name not in {*names, *file.partition}]:
            raise DataError(
                f"{file.path}: missing columns: {', '.join(absent)}; there are: {', '.join(names)}"
            )
        wanted = [name for name in names if is_wanted(name)]
        if twice := next((name for name in wanted if wanted.count(name) > 1), None):
            raise DataError(f"{file.path}: column {twice!r} occurs twice")
        return wanted

    for rows, bytes_read in _READERS[file.path.suffix.lower()](file.path, select):
        constants = {
            name: pd.Series(value, rows.index, dtype="str")
            for name, value in file.partition.items()
            if is_wanted(name) and name not in rows
        }
        yield rows.assign(**constants), bytes_read


def _csv_batches(path: Path, select: Select) -> Batches:
    repeated = _repeated_columns(path)
    for rows, bytes_read in _delimited(path, "CSV"):
        yield rows[select([*rows.columns, *repeated])], bytes_read


def _repeated_columns(path: Path) -> list[str]:
    """Returns the names that occur in the header of a CSV file before; pandas renames them.

    Of a file that cannot be read there are none.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            header = next(filter(None, csv.reader(file)), [])
        except (UnicodeDecodeError, csv.Error):
            return []
    return [name for place, name in enumerate(header) if name and name in header[:place]]


def _atomic_batches(path: Path, select: Select) -> Batches:
    options = {"sep": "\t", "quoting": csv.QUOTE_NONE}
    for rows, bytes_read in _delimited(path, "an atomic file of RecBole", **options):
        table = with_plain_columns(path, rows)
        yield table[select(list(table.columns))], bytes_read


def _delimited(path: Path, kind: str, **options: Any) -> Batches:
    """Yields the rows of a file with delimiters, batch by batch.

    `kind` names the format in messages; `options` are those of `pandas.read_csv`.

    Raises:
        DataError: the file is not UTF-8 or not of this format.
    """
    try:
        with (
            path.open("rb") as content,
            io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as file,
            pd.read_csv(
                file, dtype=str, keep_default_na=False, chunksize=ROWS_A_BATCH, **options
            ) as batches,
        ):
            for rows in batches:
                # If rows have more values than the header has names, pandas takes the first values
                # as row labels.
                if not isinstance(rows.index, pd.RangeIndex):
                    raise DataError(f"{path}: data rows have more values than the header has names")
                yield rows, content.tell()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8: {_first_wrong_byte(path)}") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: empty file") from None
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: not {kind}: {str(error).strip()}") from None


def _first_wrong_byte(path: Path) -> str:
    """Describes the first byte that is not valid UTF-8: its value, offset and line."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    num_bytes, line = 0, 1
    with path.open("rb") as file:
        while True:
            block = file.read(_BUFFER)
            waiting = decoder.getstate()[0]
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                data = waiting + block
                line += data.count(b"\n", 0, error.start)
                offset = num_bytes - len(waiting) + error.start
                return f"byte 0x{data[error.start]:02x} at offset {offset}, line {line}"
            line += block.count(b"\n")
            num_bytes += len(block)


_READERS: Mapping[str, Callable[[Path, Select], Batches]] = {
    ".csv": _csv_batches,
    ".parquet": parquet_batches,
    ".arrow": arrow_batches,
    ".inter": _atomic_batches,
    ".item": _atomic_batches,
}
