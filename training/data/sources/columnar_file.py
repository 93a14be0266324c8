"""Reads Parquet and Arrow files with all values as text, batch by batch."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.sources.atomic_file import TITLE
from training.errors import DataError

ROWS_A_BATCH = 1 << 18
_INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")  # row labels, which no user has named
_BUFFER = 1 << 20  # bytes that are read at once

Batches = Iterator[tuple[pd.DataFrame, float]]
"""Rows of a file, at least one batch, each with the number of the file's bytes read so far."""

Select = Callable[[Sequence[str]], list[str]]
"""A function that selects the columns to read from those of a file; raises DataError if a required
column is missing."""


def parquet_batches(path: Path, select: Select) -> Batches:
    """Yields the selected columns of a Parquet file as text.

    Raises:
        DataError: the file cannot be read, or has values that text cannot stand for.
    """
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            columns = select(_named(file.schema_arrow))
            yield _as_text(path, file.schema_arrow.empty_table().select(columns)), 0
            num_rows, bytes_a_row = 0, path.stat().st_size / max(1, file.metadata.num_rows)
            for batch in file.iter_batches(ROWS_A_BATCH, columns=columns):
                num_rows += batch.num_rows
                table = pa.Table.from_batches([batch]).select(columns)
                yield _as_text(path, table), num_rows * bytes_a_row
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not readable as Parquet: {error}") from None


def arrow_batches(path: Path, select: Select) -> Batches:
    """Yields the selected columns of an Arrow IPC file or stream as text.

    Raises:
        DataError: the file cannot be read, or has values that text cannot stand for.
    """
    try:
        with pa.memory_map(str(path)) as source:
            schema, batches = _opened(source)
            columns = select(_named(schema))
            yield _as_text(path, schema.empty_table().select(columns)), 0
            num_bytes, size = 0, path.stat().st_size
            for table in in_tables(schema, batches):
                num_bytes += table.nbytes  # more than the file has, if it is compressed
                for start in range(0, table.num_rows, ROWS_A_BATCH):
                    rows = table.slice(start, ROWS_A_BATCH).select(columns)
                    yield _as_text(path, rows), min(num_bytes, size)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not readable as Arrow: {error}") from None


def in_tables(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yields the rows of `batches`, which may be small, at least `ROWS_A_BATCH` at once."""
    waiting: list[pa.RecordBatch] = []
    num_rows = 0
    for batch in batches:
        waiting.append(batch)
        num_rows += batch.num_rows
        if num_rows >= ROWS_A_BATCH:
            yield pa.Table.from_batches(waiting, schema)
            waiting, num_rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _opened(source: pa.NativeFile) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    """Opens an IPC file, or else a stream, as Hugging Face's `save_to_disk` writes it."""
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return stream.schema, stream
    return file.schema, map(file.get_batch, range(file.num_record_batches))


def _named(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if not _INDEX_OF_PANDAS.fullmatch(name)]


def _as_text(path: Path, table: pa.Table) -> pd.DataFrame:
    columns = zip(table.column_names, table.columns, strict=True)
    return pd.DataFrame({name: _column_as_text(path, name, column) for name, column in columns})


def _column_as_text(path: Path, name: str, column: pa.ChunkedArray) -> "pd.Series[str]":
    # pandas stores integers with missing values as floats: the id 7 would become the text "7.0".
    if name.endswith("_id") and _has_fractions(column.type):
        raise DataError(f"{path}: {name} is stored as {column.type}; use text or integers")
    if isinstance(column.type, pa.UuidType):  # which Arrow would cast to its 16 bytes
        return pd.Series([each and str(each) for each in column.to_pylist()], dtype="str")
    try:
        if _has_several_values(name, column.type):
            return _joined(path, name, column)
        text: pd.Series[str] = column.cast(pa.string()).to_pandas()
    except pa.ArrowException as error:
        raise DataError(f"{path}: {name} cannot be read as text: {error}") from None
    return text


def _has_fractions(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > 0))


def _has_several_values(name: str, kind: pa.DataType) -> bool:
    """Returns whether a column has lists of an attribute's values, not an id, title or vector."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    is_attribute = name != TITLE and not name.endswith("_id")
    return is_list and is_attribute and not pa.types.is_floating(kind.value_type)


def _joined(path: Path, name: str, column: pa.ChunkedArray) -> "pd.Series[str]":
    """Joins the values of each list by `|`, as they stand in a table of text.

    Raises:
        DataError: a value has a `|`, by which it would become several values.
    """
    lists = [
        [value for value in values or () if value]
        for values in column.cast(pa.list_(pa.string())).to_pylist()
    ]
    if (divided := next((each for each in chain(*lists) if "|" in each), None)) is not None:
        raise DataError(
            f"{path}: {name}: the value {divided!a} has a `|`, which stands between values in a "
            "table; replace it, or give the items as items.jsonl, which keeps it"
        )
    return pd.Series(["|".join(values) or None for values in lists], dtype="str")
