"""Reads a table of interactions and a table of items: CSV, Parquet, or RecBole's atomic files.

Interactions have the columns `user_id` and `item_id`, and at least one of `timestamp` and
`position`. A timestamp is a number or ISO 8601 text; text without a time zone is UTC. In a table
without `timestamp`, RecTools' column `datetime` takes its place. A position is a number. The column
`split` is optional, with the values `train`, `history`, `validation` and `test`. Other columns are
ignored. Interactions may be larger than memory, and may lie in several files, see
`training.data.sources.table_files`.

`training.data.sources.items_table` describes the table of items.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.dataset import Split
from training.data.raw import Origin, RawData, Times
from training.data.row_order import RowOrder, SourceRows
from training.data.sources.items_table import MissingTitles, read_items
from training.data.sources.table_files import find_table_files
from training.data.sources.text_table import is_blank, read_text_batches
from training.data.sources.wrong_rows import WrongRows
from training.errors import DataError
from training.progress import ProgressBar

TIMES = ("timestamp", "datetime")  # names of the column of times: the first is preferred
REQUIRED = ("user_id", "item_id")
OPTIONAL = (*TIMES, "position", "split")
_NO_NUMBER = "timestamp is not a number"
_NO_TIME = "timestamp is neither a number nor ISO 8601"
_COUNTED_IN_NS = 8 * 10**15  # microseconds around 1970, years 1716 to 2223: in ns, they fit int64
_BELOW_MICROSECONDS = r"(\.\d{6})\d+"
_TIMES_OF_READING = ("now", "today")  # pandas takes them for ISO 8601
_SPLITS = {split.name.lower(): int(split) for split in Split}


def read_tables(
    interactions_path: Path,
    items_path: Path,
    missing_titles: MissingTitles = "refuse",
    order: RowOrder = "source",
) -> RawData:
    """Reads interactions and items; item indices follow the order of the items table.

    Args:
        interactions_path: table of interactions: a file, a folder of files or a pattern.
        items_path: table of items.
        missing_titles: "refuse" raises a DataError for an item without a title; "placeholder" gives
            it a title made from its id.
        order: "source" keeps the order of both tables for users, items and equal times; "ids" sorts
            these by id, so that rows may come in any order.

    Raises:
        DataError: a table is missing or malformed, or rows are wrong; the message names file, data
            rows and values.
    """
    catalog = read_items(items_path, missing_titles)
    if order == "ids":
        catalog = catalog.sorted_by_id()
    reader = _InteractionReader(catalog.index_by_id, f"item_id is not in {items_path}")
    first_rows: dict[str, int] = {}
    num_bytes = sum(each.path.stat().st_size for each in find_table_files(interactions_path))
    with SourceRows() as rows:
        with ProgressBar("reading interactions", num_bytes, "B") as bar:
            for batch in read_text_batches(interactions_path, REQUIRED, OPTIONAL):
                first_rows.setdefault(str(batch.file), reader.num_rows + 1)
                columns = reader.read(_with_time(interactions_path, batch.rows))
                if not reader.found_wrong_rows:
                    rows.append(**columns)
                bar.advance(batch.num_bytes)
        origin = Origin.of_table(interactions_path, first_rows)
        reader.refuse_wrong_rows(origin)
        return rows.ordered(origin, catalog, order)


def _with_time(path: Path, batch: pd.DataFrame) -> pd.DataFrame:
    """Returns `batch` with the column `datetime` renamed to `timestamp`, unless that exists.

    Raises:
        DataError: the table `path` has neither times nor positions.
    """
    if TIMES[0] not in batch.columns:
        batch = batch.rename(columns={TIMES[1]: TIMES[0]})
    if not {TIMES[0], "position"} & {*batch.columns}:
        raise DataError(
            f"{path}: no column timestamp or position; add one, so that the rows of a user have an "
            "order"
        )
    return batch


class _InteractionReader:
    """Converts batches of interactions from text, and collects the rows that are wrong.

    Attributes:
        num_rows: number of rows so far.
        found_wrong_rows: whether any row so far is wrong.
    """

    def __init__(self, index_by_id: Mapping[str, int], unknown_item: str) -> None:
        self.num_rows = 0
        self.found_wrong_rows = False
        self._index_by_id = index_by_id
        self._unknown_item = unknown_item  # the problem of an item that is not in the catalog
        self._wrong = WrongRows()
        self._has_numbers = False  # whether any timestamp is a number

    def read(self, batch: pd.DataFrame) -> dict[str, Any]:
        """Returns the columns of `batch` by the names of the arguments of `SourceRows.append`.

        The columns are valid only if `found_wrong_rows` is false.
        """
        self._check("user_id is missing", batch["user_id"], is_blank(batch["user_id"]))
        readers = {
            "timestamp": self._timestamps,
            "position": self._numbers,
            "item_id": self._item_indices,
            "split": self._splits,
        }
        columns = {name: read(batch[name]) for name, read in readers.items() if name in batch}
        self.num_rows += len(batch)
        return {
            "user_ids": batch["user_id"],
            "item_indices": columns["item_id"],
            "timestamps": columns.get("timestamp"),
            "positions": columns.get("position"),
            "splits": columns.get("split"),
        }

    def refuse_wrong_rows(self, origin: Origin) -> None:
        """Raises DataError if any row so far is wrong; `origin` names the table in the message."""
        # A table in which any timestamp is a number has no other timestamps.
        self._wrong.forget(_NO_TIME if self._has_numbers else _NO_NUMBER)
        self._wrong.refuse(origin)

    def _check(self, problem: str, values: "pd.Series[str]", wrong: "pd.Series[bool]") -> None:
        self._wrong.add(problem, values, wrong, start=self.num_rows)
        self.found_wrong_rows |= bool(wrong.any())

    def _timestamps(self, texts: "pd.Series[str]") -> Times:
        numbers, is_wrong = _as_numbers(texts)
        self._wrong.add(_NO_NUMBER, texts, is_wrong, start=self.num_rows)
        self._has_numbers |= not bool(np.isnan(numbers).all())
        if self._has_numbers:
            self.found_wrong_rows |= bool(is_wrong.any())
            return numbers
        times, is_wrong = _as_times(texts)
        self._check(_NO_TIME, texts, is_wrong)
        return times

    def _numbers(self, texts: "pd.Series[str]") -> Times:
        numbers, is_wrong = _as_numbers(texts)
        self._check(f"{texts.name} is not a number", texts, is_wrong)
        return numbers

    def _item_indices(self, item_ids: "pd.Series[str]") -> NDArray[np.int32]:
        self._check("item_id is missing", item_ids, is_blank(item_ids))
        codes, distinct = pd.factorize(item_ids)
        indices = [*(self._index_by_id.get(item_id, 0) for item_id in distinct.tolist()), 0]
        item_indices = np.array(indices, dtype=np.int32)[codes]  # code -1: the value is missing
        self._check(self._unknown_item, item_ids, pd.Series(item_indices == 0))
        return item_indices

    def _splits(self, texts: "pd.Series[str]") -> NDArray[np.uint8]:
        splits = texts.map(_SPLITS)
        self._check(f"split is none of {', '.join(_SPLITS)}", texts, splits.isna())
        return np.asarray(splits.fillna(0), dtype=np.uint8)


def _as_times(texts: "pd.Series[str]") -> tuple[NDArray[np.int64], "pd.Series[bool]"]:
    """Reads ISO 8601 text as integers; also returns a mask of the values that are no such text.

    Each value is judged by itself: in a series with any nanoseconds, pandas reads no date before
    1677 or after 2262, so what it could not read is read again, to the microsecond.
    """
    times = _parsed(texts)
    integers, is_wrong = _as_integers(times), times.isna().to_numpy(copy=True)
    if is_wrong.any():
        again = _parsed(texts[is_wrong].str.replace(_BELOW_MICROSECONDS, r"\1", regex=True))
        integers[is_wrong] = _as_integers(again)
        is_wrong[is_wrong] = again.isna()
    return integers, pd.Series(is_wrong | texts.isin(_TIMES_OF_READING).to_numpy())


def _parsed(texts: "pd.Series[str]") -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")


def _as_integers(times: "pd.Series[pd.Timestamp]") -> NDArray[np.int64]:
    """Returns integers that have the order and the ties of `times`; any for a missing one.

    They count nanoseconds from 1970, but microseconds before 1716 and after 2223, so that all years
    from 1 to 9999 fit into int64.
    """
    in_us = np.asarray(times.dt.as_unit("us").astype("int64"), dtype=np.int64)
    near = in_us.clip(-_COUNTED_IN_NS, _COUNTED_IN_NS)
    nanoseconds = np.asarray(times.dt.nanosecond.fillna(0), dtype=np.int64)
    return np.asarray(near * 1000 + nanoseconds * (in_us == near) + (in_us - near), dtype=np.int64)


def _as_numbers(texts: "pd.Series[str]") -> tuple[Times, "pd.Series[bool]"]:
    """Reads numbers as int64 or float64; also returns a mask of the values that are not numbers.

    Integers stay integers, since float64 would round timestamps in nanoseconds.
    """
    numbers = pd.to_numeric(texts, errors="coerce")
    is_wrong = pd.Series(~np.isfinite(numbers.to_numpy(np.float64)))
    if numbers.dtype.kind == "i":
        return np.asarray(numbers, dtype=np.int64), is_wrong
    return np.asarray(numbers, dtype=np.float64), is_wrong
