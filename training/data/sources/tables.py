"""Reads a table of interactions and a table of items: CSV, Parquet, or RecBole's atomic files.

Interactions have the columns `user_id` and `item_id`, and at least one of `timestamp` and
`position`. A timestamp is a number or ISO 8601 text; text without a time zone is UTC. In a table
without `timestamp`, RecTools' column `datetime` takes its place. A position is a number. The column
`split` is optional, with the values `train`, `history`, `validation` and `test`. Other columns are
ignored.

`training.data.sources.items_table` describes the table of items.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.dataset import Split
from training.data.raw import RawData, Times, order_by_user
from training.data.sources.items_table import MissingTitles, read_items
from training.data.sources.text_table import is_blank, read_text_table, refuse_rows
from training.errors import DataError

TIMES = ("timestamp", "datetime")  # names of the column of times: the first is preferred


def read_tables(
    interactions_path: Path,
    items_path: Path,
    missing_titles: MissingTitles = "refuse",
) -> RawData:
    """Reads interactions and items; item indices follow the order of the items table.

    Args:
        interactions_path: table of interactions.
        items_path: table of items.
        missing_titles: treatment of an item without a title, see `MissingTitles`.

    Raises:
        DataError: a table is missing or malformed, or rows are wrong; the message names file, data
            rows and values.
    """
    catalog = read_items(items_path, missing_titles)
    table = read_text_table(
        interactions_path, ["user_id", "item_id"], [*TIMES, "position", "split"]
    )
    if TIMES[0] not in table.columns:
        table = table.rename(columns={TIMES[1]: TIMES[0]})
    refuse_rows(
        interactions_path, "user_id is missing", table["user_id"], is_blank(table["user_id"])
    )
    timestamps = _read_timestamps(interactions_path, table)
    positions = _read_positions(interactions_path, table)
    if timestamps is None and positions is None:
        raise DataError(
            f"{interactions_path}: no column timestamp or position; add one, so that the rows of a "
            "user have an order"
        )
    return order_by_user(
        str(interactions_path),
        catalog,
        table["user_id"].tolist(),
        _find_items(interactions_path, table["item_id"], catalog, items_path),
        timestamps=timestamps,
        positions=positions,
        splits=_read_splits(interactions_path, table),
    )


def _find_items(
    path: Path, item_ids: "pd.Series[str]", catalog: Catalog, items_path: Path
) -> NDArray[np.int64]:
    refuse_rows(path, "item_id is missing", item_ids, is_blank(item_ids))
    item_indices = item_ids.map(dict(catalog.index_by_id))
    refuse_rows(path, f"item_id is not in {items_path}", item_ids, item_indices.isna())
    return np.asarray(item_indices, dtype=np.int64)


def _read_timestamps(path: Path, table: pd.DataFrame) -> Times | None:
    if "timestamp" not in table.columns:
        return None
    texts = table["timestamp"]
    if pd.to_numeric(texts, errors="coerce").notna().any():
        return _read_numbers(path, texts)
    times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    refuse_rows(path, "timestamp is neither a number nor ISO 8601", texts, times.isna())
    return np.asarray(times.dt.as_unit("us").astype("int64"), dtype=np.int64)


def _read_positions(path: Path, table: pd.DataFrame) -> Times | None:
    return _read_numbers(path, table["position"]) if "position" in table.columns else None


def _read_numbers(path: Path, texts: "pd.Series[str]") -> Times:
    numbers = pd.to_numeric(texts, errors="coerce")
    finite = pd.Series(np.isfinite(numbers.to_numpy(np.float64)))
    refuse_rows(path, f"{texts.name} is not a number", texts, ~finite)
    if numbers.dtype.kind == "i":  # as float64, timestamps in nanoseconds would be rounded
        return np.asarray(numbers, dtype=np.int64)
    return np.asarray(numbers, dtype=np.float64)


def _read_splits(path: Path, table: pd.DataFrame) -> NDArray[np.uint8] | None:
    if "split" not in table.columns:
        return None
    values = {split.name.lower(): int(split) for split in Split}
    splits = table["split"].map(values)
    refuse_rows(path, f"split is none of {', '.join(values)}", table["split"], splits.isna())
    return np.asarray(splits, dtype=np.uint8)
