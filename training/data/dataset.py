"""The dataset: one row per interaction, ordered by user and then from old to new.

An *example* is a row that has earlier rows of the same user. Its next item is the item of the row.
Its history is the items of the earlier rows. Teacher knowledge refers to examples by row number.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.errors import KnowledgeError

IntArray = NDArray[np.integer]
"""An array of integers of any width."""


class Split(IntEnum):
    """The split that a dataset row belongs to.

    HISTORY rows only appear in histories: they are never predicted, neither in training nor in
    evaluation.
    """

    TRAIN = 0
    HISTORY = 1
    VALIDATION = 2
    TEST = 3


HELD_OUT = (Split.VALIDATION, Split.TEST)

Protocol = Literal["train", "refit", "refit-all"]
"""Protocol of a ranker: the choice of rows that it is fitted on, see `LEARNT`."""
LEARNT: Mapping[Protocol, tuple[Split, ...]] = {
    "train": (),
    "refit": (Split.VALIDATION,),
    "refit-all": HELD_OUT,
}
"""Maps a protocol to the held-out splits that a ranker is fitted on, besides the TRAIN rows."""


@dataclass(frozen=True)
class Dataset:
    """A dataset: its catalog, its users, and its interactions as flat arrays.

    Attributes:
        name: name of the dataset, for messages and reports.
        fingerprint: hash of the content, see `content_fingerprint`; for a view, the hash that
            `under` derives.
        catalog: the items.
        user_ids: id of each user, in the order of their rows.
        item_indices: `[interactions]`, the item_index of each row.
        user_offsets: `[users + 1]`; the rows of user number `u` begin at `user_offsets[u]` and end
            before `user_offsets[u + 1]`.
        splits: `[interactions]`, the `Split` value of each row.
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
        """User of each row, `[interactions]`, as an index into `user_ids`."""
        return np.repeat(np.arange(len(self.user_ids)), np.diff(self.user_offsets))

    @cached_property
    def position_of_row(self) -> NDArray[np.int64]:
        """Length of each row's history, `[interactions]`: number of earlier rows of its user."""
        return np.arange(len(self.item_indices)) - self.user_offsets[:-1][self.user_of_row]

    def example_rows(self, split: Split) -> NDArray[np.int64]:
        """Returns the row numbers of the examples of `split`, `[examples]`, ascending.

        Examples are the rows with a non-empty history.
        """
        return np.flatnonzero((self.splits == split) & (self.position_of_row > 0))

    def history(self, row: int) -> NDArray[np.int32]:
        """Returns a row's history: the item indices of its user's earlier rows, oldest first."""
        return self.item_indices[self.user_offsets[self.user_of_row[row]] : row]

    def train_counts(self) -> NDArray[np.int64]:
        """Counts the training interactions of each item, `[catalog rows]`; 0 for a cold item."""
        trained = self.item_indices[self.splits == Split.TRAIN]
        return np.bincount(trained, minlength=self.catalog.num_rows)

    def warm_items(self) -> NDArray[np.bool_]:
        """Returns a mask of the items with a training interaction, `[catalog rows]`."""
        return self.train_counts() > 0

    def under(self, protocol: Protocol) -> "Dataset":
        """Returns a view for `protocol`: held-out rows that rankers are fitted on are TRAIN rows.

        Row numbers and HISTORY rows do not change. The view's fingerprint is a hash of the protocol
        and the fingerprint of this dataset. For the protocol "train", this dataset itself is
        returned.
        """
        if protocol == "train":
            return self
        is_learnt = np.isin(self.splits, LEARNT[protocol])
        derived = hashlib.sha256(f"{protocol} {self.fingerprint}".encode()).hexdigest()[:16]
        splits = np.where(is_learnt, np.uint8(Split.TRAIN), self.splits)
        return replace(self, fingerprint=derived, splits=splits)

    def content_fingerprint(self) -> str:
        """Returns a hash of catalog, users, interactions and splits, but not of the name.

        The hash has 16 hexadecimal digits and is the same on every machine.
        """
        digest = hashlib.sha256()
        catalog = [self.catalog.item_ids, self.catalog.titles, self.catalog.attributes]
        digest.update(json.dumps([catalog, self.user_ids], sort_keys=True).encode())
        digest.update(self.item_indices.astype("<i4").tobytes())
        digest.update(self.user_offsets.astype("<i8").tobytes())
        digest.update(self.splits.astype("u1").tobytes())
        return digest.hexdigest()[:16]


def indices_among(answered: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the index in `answered` of each dataset row in `rows`, `[examples]`.

    Args:
        answered: `[answers]`, dataset rows of the examples that a teacher or ranker has answered,
            ascending.
        rows: `[examples]`, dataset rows to look up.

    Raises:
        KnowledgeError: a row is not in `answered`.
    """
    indices: NDArray[np.int64] = np.searchsorted(answered, rows)
    missing = ~np.isin(rows, answered)
    if missing.any():
        raise KnowledgeError(f"dataset row {rows[missing][0]}: no answer to it is stored")
    return indices


def make_dataset(
    name: str,
    catalog: Catalog,
    user_ids: tuple[str, ...],
    item_indices: IntArray,
    user_offsets: IntArray,
    splits: IntArray,
) -> Dataset:
    """Builds a dataset and computes its fingerprint.

    The arguments are the attributes of `Dataset`; arrays of any integer type are converted.
    """
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
