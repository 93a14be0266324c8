"""A prepared dataset: every interaction once, users contiguous, oldest first.

An *example* is named by the row of its next item: the history is what the same user did before
that row. Rows are stable, so teacher knowledge refers to them.
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
    """What an interaction may be used for; HISTORY rows are read, never predicted."""

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
        """`[interactions]`, how many interactions of the same user precede each row."""
        return np.arange(len(self.item_indices)) - self.user_offsets[:-1][self.user_of_row]

    def example_rows(self, split: Split) -> NDArray[np.int64]:
        """Rows of `split` with a history of at least one interaction, ascending."""
        return np.flatnonzero((self.splits == split) & (self.position_of_row > 0))

    def history(self, row: int) -> NDArray[np.int32]:
        """Everything the user of `row` did before it, oldest first."""
        return self.item_indices[self.user_offsets[self.user_of_row[row]] : row]

    def train_counts(self) -> NDArray[np.int64]:
        """`[catalog rows]`, training interactions per item: popularity, and 0 for a cold item."""
        trained = self.item_indices[self.splits == Split.TRAIN]
        return np.bincount(trained, minlength=self.catalog.num_rows)

    def content_fingerprint(self) -> str:
        """Hash of items, users, order and splits, the name left out; the same on every machine."""
        digest = hashlib.sha256()
        catalog = [self.catalog.item_ids, self.catalog.titles, self.catalog.attributes]
        digest.update(json.dumps([catalog, self.user_ids], sort_keys=True).encode())
        digest.update(self.item_indices.astype("<i4").tobytes())
        digest.update(self.user_offsets.astype("<i8").tobytes())
        digest.update(self.splits.astype("u1").tobytes())
        return digest.hexdigest()[:16]


def places_among(answered: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of `rows` stands among those that were answered, which ascend.

    Raises:
        KnowledgeError: one of them was not.
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
    """A dataset with the fingerprint of its content; arrays may be of any integer type."""
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
