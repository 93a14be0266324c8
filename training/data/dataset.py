"""The dataset: one row per interaction, ordered by user and then from old to new.

An *example* is a row that has earlier rows of the same user. Its next item is the item of the row.
Its history is the items of the earlier rows. Teacher knowledge refers to examples by row number.
Of a large dataset's held-out examples, `max_held_out` of each split stand for all.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.large_arrays import blocks
from training.errors import KnowledgeError

_VALUES_A_PIECE = 1 << 14

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

_MOST_HELD_OUT, _FEWEST_HELD_OUT = 50_000, 5_000
_SEED = 0
_MAX_SCORES = 20_000_000_000
"""Number of scores for a held-out split beyond which fewer examples are ranked, but for the fewest.

To rank five million examples among a million items would take a day, for intervals that are
narrower than anybody needs.
"""

Protocol = Literal["train", "refit", "refit-all"]
"""Protocol of a ranker: the choice of rows that it is fitted on, see `LEARNT`."""
LEARNT: Mapping[Protocol, tuple[Split, ...]] = {
    "train": (),
    "refit": (Split.VALIDATION,),
    "refit-all": HELD_OUT,
}
"""Maps a protocol to the held-out splits that a ranker is fitted on, besides the TRAIN rows."""
REFITS: tuple[Protocol, ...] = ("refit", "refit-all")
"""The protocols of rankers that are fitted on held-out rows, too."""


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

        Examples are the rows with a non-empty history. Of a held-out split with more than
        `max_held_out`, as many are returned, which depend on the rows alone.
        """
        rows, most = self.all_example_rows(split), self.max_held_out
        if split not in HELD_OUT or len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(_SEED).choice(rows, most, replace=False))

    def all_example_rows(self, split: Split) -> NDArray[np.int64]:
        """Returns the row numbers of all examples of `split`, however many, ascending."""
        is_example = self.splits == split
        is_example[self.first_rows] = False
        return np.flatnonzero(is_example)

    @property
    def max_held_out(self) -> int:
        """Maximum number of examples of a held-out split that rankers are measured on."""
        affordable = _MAX_SCORES // self.catalog.num_items
        return max(_FEWEST_HELD_OUT, min(affordable, _MOST_HELD_OUT))

    def num_examples(self, split: Split) -> int:
        """Returns the number of all examples of `split`, however many."""
        without_history = count_splits(self.splits[self.first_rows])
        return int(count_splits(self.splits)[split] - without_history[split])

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """Number of the first row of each user, ascending; users without rows are left out."""
        return self.user_offsets[:-1][np.diff(self.user_offsets) > 0]

    def history(self, row: int) -> NDArray[np.int32]:
        """Returns a row's history: the item indices of its user's earlier rows, oldest first."""
        return self.item_indices[self.user_offsets[self.user_of_row[row]] : row]

    def train_counts(self) -> NDArray[np.int64]:
        """Counts the training interactions of each item, `[catalog rows]`; 0 for a cold item."""
        return self.item_counts(Split.TRAIN)

    def item_counts(self, *splits: Split) -> NDArray[np.int64]:
        """Counts the interactions of each item in `splits`, `[catalog rows]`."""
        counts = np.zeros(self.catalog.num_rows, dtype=np.int64)
        for rows in blocks(len(self.splits)):
            chosen = self.item_indices[rows][np.isin(self.splits[rows], splits)]
            counts += np.bincount(chosen, minlength=len(counts))
        return counts

    def warm_items(self) -> NDArray[np.bool_]:
        """Returns a mask of the items with a training interaction, `[catalog rows]`."""
        return self.train_counts() > 0

    def under(self, protocol: Protocol) -> "Dataset":
        """Returns a view in which all rows that `protocol` selects for fitting are TRAIN rows.

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
        catalog = (self.catalog.item_ids, self.catalog.titles, self.catalog.attributes)
        # The text is `json.dumps([catalog, user_ids], sort_keys=True)`, made piece by piece.
        for opening, values in zip(("[[", ", ", ", "), catalog, strict=True):
            digest.update(opening.encode())
            for piece in list_as_json(values):
                digest.update(piece.encode())
        digest.update(b"], ")
        for piece in list_as_json(self.user_ids):
            digest.update(piece.encode())
        digest.update(b"]")
        columns = ((self.item_indices, "<i4"), (self.user_offsets, "<i8"), (self.splits, "u1"))
        for array, dtype in columns:
            for rows in blocks(len(array)):
                digest.update(array[rows].astype(dtype).tobytes())
        return digest.hexdigest()[:16]


def list_as_json(values: Sequence[object], *, ensure_ascii: bool = True) -> Iterator[str]:
    """Yields the text `json.dumps(values, sort_keys=True)` in pieces, to save memory.

    Each piece holds a few thousand values. `ensure_ascii` is that of `json.dumps`.
    """
    yield "["
    for start in range(0, len(values), _VALUES_A_PIECE):
        piece = list(values[start : start + _VALUES_A_PIECE])
        text = json.dumps(piece, sort_keys=True, ensure_ascii=ensure_ascii)
        yield (", " if start else "") + text[1:-1]
    yield "]"


def count_splits(splits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Counts the rows of each split; returns an array indexed by `Split` values."""
    counts = np.zeros(len(Split), dtype=np.int64)
    for rows in blocks(len(splits)):
        counts += np.bincount(splits[rows], minlength=len(counts))
    return counts


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

    The arguments are the attributes of `Dataset` with the same names. Arrays of other integer types
    are converted to int32 (`item_indices`), int64 (`user_offsets`) and uint8 (`splits`).
    """
    dataset = Dataset(
        name=name,
        fingerprint="",
        catalog=catalog,
        user_ids=user_ids,
        item_indices=item_indices.astype(np.int32, copy=False),
        user_offsets=user_offsets.astype(np.int64, copy=False),
        splits=splits.astype(np.uint8, copy=False),
    )
    return replace(dataset, fingerprint=dataset.content_fingerprint())
