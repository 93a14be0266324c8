"""Makes a student of a large catalog from the demo's trained student, with real histories.

The demo's items are the first items of the large catalog. Every further item is made from one of
them, which is drawn at random: a random share of the difference of two of its nearest items is
added to its vector. So the large table has the clusters, the directions and the lengths of the
trained one, and nine tenths of the vectors are there once. The student's other weights and the
histories of its test users are real ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset
from training.distillation.checkpoint import Checkpoint
from training.students.item_table import ItemTable
from training.students.student import Student

NUM_NEAREST = 10
ROWS_AT_ONCE = 131_072
SEED = 0

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class LargeCatalog:
    """A student of many items, and histories of a real catalog's users.

    Attributes:
        student: the student.
        histories: item indices of each history, oldest first.
    """

    student: Student
    histories: list[list[int]]


def enlarged(checkpoint: Checkpoint, dataset: Dataset, num_items: int) -> LargeCatalog:
    """Returns the trained student of `checkpoint` with `num_items` items, those of `dataset` first.

    The histories are those of the held-out examples in random order, without items that the student
    does not read.
    """
    student = checkpoint.student().eval()
    read = student.item_table.read_items()
    with torch.no_grad():
        table = student.item_table().numpy()
    vectors = enlarged_table(table[1:], num_items)
    student.item_table = ItemTable(2, vectors.shape[1])  # its vectors are replaced
    student.item_table.offsets.data = torch.from_numpy(vectors)
    student.pair_bonus = None  # large catalogs have none
    return LargeCatalog(student.eval(), list(histories_of(dataset, read)))


def enlarged_table(vectors: Vectors, num_items: int) -> Vectors:
    """Returns `num_items` item vectors, of which the first are `vectors`, `[items, hidden]`."""
    table = np.empty((num_items, vectors.shape[1]), dtype=np.float32)
    fill_enlarged(table, vectors)
    return table


def fill_enlarged(table: Vectors, vectors: Vectors) -> None:
    """Fills `table`, `[items, hidden]`, with item vectors, of which the first are `vectors`."""
    generator, num_items = np.random.default_rng(SEED), len(table)
    table[: len(vectors)] = vectors[:num_items]
    if num_items <= len(vectors):
        return
    products = vectors @ vectors.T
    nearest = np.argsort(-products, axis=1)[:, 1 : NUM_NEAREST + 1]
    for start in range(len(vectors), num_items, ROWS_AT_ONCE):
        made = table[start : start + ROWS_AT_ONCE]
        parents = generator.integers(0, len(vectors), len(made))
        chosen = generator.integers(0, nearest.shape[1], (2, len(made)))
        one, other = nearest[parents, chosen]
        shares = generator.random((len(made), 1), dtype=np.float32)
        made[:] = vectors[parents] + shares * (vectors[one] - vectors[other])


def histories_of(dataset: Dataset, read: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yields the histories of held-out examples in random order, with the items in `read` only."""
    rows = np.concatenate([dataset.example_rows(split) for split in HELD_OUT])
    shuffled = np.random.default_rng(SEED).permutation(rows)
    is_read = np.zeros(dataset.catalog.num_items + 1, dtype=np.bool_)
    is_read[read] = True
    histories = (dataset.history(int(row)) for row in shuffled)
    yield from (kept for each in histories if (kept := each[is_read[each]].tolist()))


@torch.no_grad()
def query_vectors(student: Student, histories: Sequence[list[int]]) -> Vectors:
    """Returns the query vector after each history, `[histories, hidden]`, as torch encodes it."""
    table, longest = student.item_table(), student.max_history_length
    windows = (torch.tensor([each[-longest:]]) for each in histories)
    vectors: Vectors = torch.cat([student.encode_newest(each, table) for each in windows]).numpy()
    return vectors
