"""Reads CSV, Parquet and RecBole files with all values as text, so that ids stay as written."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.sources.atomic_file import read_atomic
from training.errors import DataError

SUFFIXES = ".csv, .parquet, .inter or .item"
SHOWN_ROWS = 3  # maximum number of rows that an error message shows


def read_text_table(
    path: Path, required: Sequence[str], optional: Sequence[str] | None = None
) -> pd.DataFrame:
    """Reads columns of a CSV, Parquet or RecBole file as text; missing values stay missing.

    Args:
        path: a .csv, .parquet, .inter or .item file.
        required: names of columns that must exist.
        optional: names of columns to read if they exist; None reads all columns.

    Raises:
        DataError: the file is missing, has another suffix or cannot be read, a required column is
            missing, or there are no rows.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: suffix {path.suffix!r}: must be {SUFFIXES}")
    table = read(path, read_bytes(path))
    names: list[str] = table.column_names
    if absent := [name for name in required if name not in names]:
        raise DataError(
            f"{path}: missing columns: {', '.join(absent)}; there are: {', '.join(names)}"
        )
    if not table.num_rows:
        raise DataError(f"{path}: no rows")
    selected = [name for name in names if optional is None or name in {*required, *optional}]
    return pd.DataFrame({name: _as_text(path, name, table.column(name)) for name in selected})


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file that the user has named.

    Raises:
        DataError: the file is missing, empty or not readable.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if not content:
        raise DataError(f"{path}: empty file")
    return content


def is_blank(values: "pd.Series[str]") -> "pd.Series[bool]":
    """Returns a mask of the values that are missing, empty or only white space, `[rows]`."""
    return values.isna() | (values.str.strip() == "")


def refuse_rows(
    path: Path, problem: str, values: "pd.Series[str]", wrong: "pd.Series[bool]"
) -> None:
    """Raises DataError if any row of a table is wrong.

    Args:
        path: file of the table, for the message.
        problem: description of what is wrong, for the message.
        values: `[rows]`, value of each row that is shown in the message.
        wrong: `[rows]`, whether a row is wrong.

    Raises:
        DataError: at least one row is wrong. The message shows the first `SHOWN_ROWS` of them, with
            row numbers from 1 after the header.
    """
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return
    shown = ", ".join(
        f"data row {row + 1} ({_shown(values.iloc[row])})" for row in rows[:SHOWN_ROWS]
    )
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    raise DataError(f"{path}: {problem}: {shown}{more}")


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else "no value"


def _read_csv(path: Path, content: bytes) -> pa.Table:
    try:
        text = content.decode("utf-8-sig")
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise DataError(
            f"{path}: not UTF-8: byte 0x{byte:02x} at offset {error.start}, line {line}"
        ) from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: empty file") from None
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: not CSV: {str(error).strip()}") from None
    # If rows have more values than the header has names, pandas takes the first values as row
    # labels.
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: data rows have more values than the header has names")
    return pa.Table.from_pandas(table, preserve_index=False)


def _read_parquet(path: Path, content: bytes) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(content))
    except pa.ArrowException as error:
        raise DataError(f"{path}: not readable as Parquet: {error}") from None


def _as_text(path: Path, name: str, column: pa.ChunkedArray) -> "pd.Series[str]":
    # pandas stores integers with missing values as floats: the id 7 would become the text "7.0".
    if name.endswith("_id") and pa.types.is_floating(column.type):
        raise DataError(f"{path}: {name} is stored as {column.type}; use text or integers")
    try:
        text: pd.Series[str] = column.cast(pa.string()).to_pandas()
    except pa.ArrowException as error:
        raise DataError(f"{path}: {name} cannot be read as text: {error}") from None
    return text


_READERS: Mapping[str, Callable[[Path, bytes], pa.Table]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".inter": read_atomic,
    ".item": read_atomic,
}
