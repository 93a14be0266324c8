"""Writes interactions as the two tables of a shop, and cuts them at an earlier moment."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.dataset import Split
from training.data.raw import RawData
from training.errors import DataError


def earlier_cut(raw: RawData, share: float) -> RawData:
    """Returns the interactions before a moment, as if the others had not happened yet.

    Users and items without an earlier interaction are left out. A source that has an order and a
    split instead of timestamps is cut at the beginning of its validation rows.

    Args:
        raw: the interactions.
        share: the moment, as a share of the time range.

    Raises:
        DataError: `raw` has neither timestamps nor a split.
    """
    if raw.timestamps is not None:
        first, last = raw.timestamps.min(), raw.timestamps.max()
        return raw.select(raw.timestamps < first + share * (last - first))
    if raw.splits is None:
        raise DataError(f"{raw.origin}: has neither a timestamp nor a split, so it cannot be cut")
    return raw.select(raw.splits == Split.TRAIN)


def write_tables(raw: RawData, folder: Path) -> str:
    """Writes `interactions.parquet` and `items.csv` into `folder`; returns their `[data]` section.

    Without timestamps, each user's last two interactions are held out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    interactions, items = folder / "interactions.parquet", folder / "items.csv"
    catalog = raw.catalog
    order = np.arange(raw.num_rows) - raw.user_offsets[raw.users]
    columns = {
        "user_id": np.array(raw.user_ids)[raw.users],
        "item_id": np.array(catalog.item_ids)[raw.item_indices - 1],
        "position": order,
    }
    if raw.timestamps is not None:
        columns["timestamp"] = raw.timestamps
    pq.write_table(pa.table(columns), interactions)
    with items.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item_id", "title"))
        writer.writerows(zip(catalog.item_ids, catalog.titles, strict=True))
    split = "" if raw.timestamps is not None else 'split = "leave-one-out"\n'
    return f'[data]\nsource = "tables"\ninteractions = "{interactions}"\nitems = "{items}"\n{split}'
