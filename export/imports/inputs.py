"""Reads the items, item vectors and histories from which a bundle is made, besides the encoder."""

from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.data.sources.items_table import MissingTitles, read_items
from training.data.sources.tables import read_tables
from training.errors import DataError

SHOWN_ROWS = 3  # maximum number of rows that an error message shows


def read_vectors(path: Path, catalog: Catalog) -> NDArray[np.float32]:
    """Reads a .npy file of item vectors, `[items, size]`, in the order of `catalog`.

    Returns:
        The item table, `[items + 1, size]`; row 0, padding, is zero.

    Raises:
        DataError: the file is missing, is not a float array of that shape, or has a number that is
            not finite.
    """
    try:
        with path.open("rb") as file:
            vectors = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: not readable as a .npy file: {error}") from error
    if not isinstance(vectors, np.ndarray) or vectors.dtype.kind != "f" or vectors.ndim != 2:
        found = f"{vectors.dtype} {vectors.shape}" if isinstance(vectors, np.ndarray) else "an .npz"
        raise DataError(f"{path}: is {found}; must be an array of floats, [items, size]")
    if len(vectors) != catalog.num_items or not vectors.shape[1]:
        raise DataError(
            f"{path}: shape {vectors.shape}, but the table of items has {catalog.num_items:,} "
            "rows; give one vector for each item, in the order of the table, and none for padding"
        )
    with np.errstate(over="ignore"):
        table = np.concatenate([np.zeros((1, vectors.shape[1])), vectors]).astype(np.float32)
    is_finite = np.isfinite(table).all(axis=1)
    if not is_finite.all():
        wrong = np.flatnonzero(~is_finite)
        shown = ", ".join(repr(catalog.item_ids[row - 1]) for row in wrong[:SHOWN_ROWS])
        raise DataError(
            f"{path}: {len(wrong):,} vectors are not finite as float32, of the items {shown}"
        )
    return table


def dataset_of(
    items: Path, histories: Path | None, missing_titles: MissingTitles, name: str
) -> Dataset:
    """Makes a dataset from a table of items and a table of interactions.

    If the table of interactions has no column `split`, the last interaction of each user who has
    several is a test row. All others are training rows. Items keep the order of their table.

    Args:
        items: table of items, see `training.data.sources.items_table`.
        histories: table of interactions, see `training.data.sources.tables`; None: there are none.
        missing_titles: for an item without a title, "refuse" raises a DataError, and "placeholder"
            makes a title from its id.
        name: name of the dataset.

    Raises:
        DataError: a table cannot be used; the message names file, data rows and values.
    """
    if histories is None:
        return _dataset(name, read_items(items, missing_titles), (), (), [0], ())
    raw = read_tables(histories, items, missing_titles)
    splits = raw.splits
    if splits is None:
        lasts, lengths = raw.user_offsets[1:] - 1, np.diff(raw.user_offsets)
        splits = np.full(raw.num_rows, Split.TRAIN, dtype=np.uint8)
        splits[lasts[lengths > 1]] = Split.TEST
    return _dataset(
        name,
        raw.catalog,
        raw.user_ids,
        raw.item_indices.tolist(),
        raw.user_offsets.tolist(),
        splits.tolist(),
    )


def _dataset(
    name: str,
    catalog: Catalog,
    user_ids: tuple[str, ...],
    item_indices: Iterable[int],
    user_offsets: Iterable[int],
    splits: Iterable[int],
) -> Dataset:
    numbers = (np.array(list(each), np.int64) for each in (item_indices, user_offsets, splits))
    return make_dataset(name, catalog, user_ids, *numbers)
