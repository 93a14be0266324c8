"""The dataset: every interaction once, rows of a user together, oldest first.

An *example* is a row, its next item, and a history, the earlier rows of the same user. Row numbers
never change for a dataset, so teacher knowledge refers to examples by row.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.errors import KnowledgeError

IntArray = NDArray[np.integer]


class Split(IntEnum):
    """Use of an interaction; HISTORY rows are read as history and never predicted."""

    TRAIN = 0
    HISTORY = 1
    VALIDATION = 2
    TEST = 3


HELD_OUT = (Split.VALIDATION, Split.TEST)


@dataclass(frozen=True)
class Dataset:
    """Interactions as flat arrays.

    Attributes:
        item_indices: `[interactions]`, the item of each row.
        user_offsets: `[users + 1]`, user `u` owns rows `user_offsets[u]:user_offsets[u + 1]`.
        splits: `[interactions]`, a `Split` value per row.
        fingerprint: hash of the content; `make_dataset` fills it in.
    """

    name: str
    fingerprint: str
    catalog: Catalog
    user_ids: tuple[str, ...]
    item_indices: NDArray[np.int32]
    user_offsets: NDArray[np.int64]
    splits: NDArray[np.uint8]

    @cached_property
    def user_of_row(self) -> NDArray[np.int64]:
        """`[interactions]`, the user index of each row."""
        return np.repeat(np.arange(len(self.user_ids)), np.diff(self.user_offsets))

    @cached_property
    def position_of_row(self) -> NDArray[np.int64]:
        """`[interactions]`, number of earlier interactions of the same user."""
        return np.arange(len(self.item_indices)) - self.user_offsets[:-1][self.user_of_row]

    def example_rows(self, split: Split) -> NDArray[np.int64]:
        """Rows of `split` with a history of at least one interaction, ascending."""
        return np.flatnonzero((self.splits == split) & (self.position_of_row > 0))

    def history(self, row: int) -> NDArray[np.int32]:
        """Items of the same user before `row`, oldest first."""
        return self.item_indices[self.user_offsets[self.user_of_row[row]] : row]

    def train_counts(self) -> NDArray[np.int64]:
        """`[catalog rows]`, training interactions of each item; 0 for a cold item."""
        trained = self.item_indices[self.splits == Split.TRAIN]
        return np.bincount(trained, minlength=self.catalog.num_rows)

    def content_fingerprint(self) -> str:
        """Hash of items, users, order and splits, without the name; equal on every machine."""
        digest = hashlib.sha256()
        catalog = [self.catalog.item_ids, self.catalog.titles, self.catalog.attributes]
        digest.update(json.dumps([catalog, self.user_ids], sort_keys=True).encode())
        digest.update(self.item_indices.astype("<i4").tobytes())
        digest.update(self.user_offsets.astype("<i8").tobytes())
        digest.update(self.splits.astype("u1").tobytes())
        return digest.hexdigest()[:16]


def places_among(answered: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of each of `rows` in `answered`, which is ascending.

    Raises:
        KnowledgeError: a row is not in `answered`.
    """
    places: NDArray[np.int64] = np.searchsorted(answered, rows)
    missing = ~np.isin(rows, answered)
    if missing.any():
        raise KnowledgeError(f"row {rows[missing][0]}: there is no answer for it")
    return places


def make_dataset(
    name: str,
    catalog: Catalog,
    user_ids: tuple[str, ...],
    item_indices: IntArray,
    user_offsets: IntArray,
    splits: IntArray,
) -> Dataset:
    """Builds a dataset and its content fingerprint; arrays may have any integer type."""
    dataset = Dataset(
        name=name,
        fingerprint="",
        catalog=catalog,
        user_ids=user_ids,
        item_indices=item_indices.astype(np.int32),
        user_offsets=user_offsets.astype(np.int64),
        splits=splits.astype(np.uint8),
    )
    return replace(dataset, fingerprint=dataset.content_fingerprint())
