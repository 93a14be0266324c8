"""Writes random histories over the items of the MovieLens bundle."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distilled_recommender.recommend.program import PART_ROWS
from proofs.fixtures.places import EXAMPLE
from training.progress import ProgressBar

_BLOCK = 12 * PART_ROWS
_LONGEST = 100
_LENGTH_EXPONENT = 4  # 20 items on average, 7 in the median; one in six fills the window of 50
_ITEM_EXPONENT = 3  # the most popular tenth of the items has nearly half of the interactions
_EMPTY_EACH = 100
_UNKNOWN_EACH = 50


def write_histories(path: Path, number: int, random: np.random.Generator) -> int:
    """Writes a Parquet file of random histories; returns the number of their items.

    Lengths, from 1 to `_LONGEST`, and items follow power laws; the items' order is the catalog's.
    One history in `_EMPTY_EACH` is empty, and one item in `_UNKNOWN_EACH` is not in the bundle.
    Row groups have the rows of a part of the output.
    """
    lines = (EXAMPLE / "items.jsonl").read_text(encoding="utf-8").splitlines()
    ids = np.array([*(json.loads(line)["item_id"] for line in lines), "discontinued"])
    schema = pa.schema([("user", pa.int64()), ("history", pa.list_(pa.string()))])
    num_items = 0
    with (
        pq.ParquetWriter(path, schema) as writer,
        ProgressBar("writing histories", number, "history") as bar,
    ):
        for start in range(0, number, _BLOCK):
            users = np.arange(start, min(start + _BLOCK, number))
            lists = _lists(users, ids, random)
            writer.write_table(pa.table([users, lists], schema), row_group_size=PART_ROWS)
            num_items += len(lists.values)
            bar.advance(len(users))
    return num_items


def _lists(
    users: NDArray[np.int64], ids: NDArray[np.str_], random: np.random.Generator
) -> pa.ListArray:
    lengths = 1 + (_LONGEST * random.random(len(users)) ** _LENGTH_EXPONENT).astype(np.int64)
    lengths[users % _EMPTY_EACH == 0] = 0
    last = len(ids) - 1
    chosen = (last * random.random(lengths.sum()) ** _ITEM_EXPONENT).astype(np.int32)
    chosen[::_UNKNOWN_EACH] = last
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    items = pa.DictionaryArray.from_arrays(chosen, pa.array(ids.tolist())).dictionary_decode()
    return pa.ListArray.from_arrays(offsets, items)
