"""Files of a large catalog that every search is measured with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.subjects.large_catalog import enlarged
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.distillation.variants import DISTILLED
from training.students.student import Student
from training.workplace import Workplace

K = 20
NUM_QUERIES = 200
ROUNDING = 1e-5  # of a score, by which the sums of two programs may differ


@dataclass(frozen=True)
class CatalogFiles:
    """A student of many items, and the folder of the files that the other searches read.

    Attributes:
        folder: has `table.npy`, `queries.npy`, `least.npy` and `seen.npy`, as
            `benchmarks.rivals.vector_index` describes them.
        student: the student.
        histories: item indices of the histories that are asked, oldest first.
        table: `[items + 1, hidden]`, the item vectors.
        queries: `[histories, hidden]`, the query vectors.
        least: `[histories]`, the score that the best `K` unseen items have at least. Some items
            have the same vector, so that more than `K` may have it.
    """

    folder: Path
    student: Student
    histories: Sequence[list[int]]
    table: NDArray[np.float32]
    queries: NDArray[np.float32]
    least: NDArray[np.float32]


@contextmanager
def catalog_files(work: Path, num_items: int) -> Iterator[CatalogFiles]:
    """Context manager: makes the demo's student with `num_items` items, and writes the files.

    `work`: folder in which the demo ran.
    """
    workplace = Workplace(work / "movielens")
    checkpoint = load_checkpoint(workplace.checkpoints / f"{DISTILLED}-0")
    catalog = enlarged(checkpoint, load_dataset(workplace.dataset), num_items)
    histories = catalog.histories[:NUM_QUERIES]
    table, queries = _vectors(catalog.student, histories)
    pairs = zip(queries, histories, strict=True)
    least = np.array([_least(table, *each) for each in pairs], dtype=np.float32)
    with TemporaryDirectory() as name:
        folder = Path(name)
        arrays: dict[str, NDArray[Any]] = {
            "table": table,
            "queries": queries,
            "least": least,
            "seen": _padded(histories),
        }
        for each, values in arrays.items():
            np.save(folder / f"{each}.npy", values, allow_pickle=False)
        yield CatalogFiles(folder, catalog.student, histories, table, queries, least)


@torch.no_grad()
def _vectors(
    student: Student, histories: Sequence[list[int]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the item vectors, `[items + 1, hidden]`, and the query of each history."""
    table, longest = student.item_table(), student.max_history_length
    windows = (torch.tensor([each[-longest:]]) for each in histories)
    queries = torch.cat([student.encode_newest(each, table) for each in windows])
    return table.numpy(), queries.numpy()


def _least(
    table: NDArray[np.float32], query: NDArray[np.float32], history: list[int]
) -> np.float32:
    scores = table @ query
    scores[[0, *history]] = -np.inf
    least = np.partition(scores, -K)[-K]
    return np.float32(least - ROUNDING * abs(least))


def _padded(histories: Sequence[list[int]]) -> NDArray[np.int64]:
    """Returns the distinct items of each history, `[histories, longest]`, with zeros after them."""
    distinct = [np.unique(each) for each in histories]
    padded = np.zeros((len(distinct), max(map(len, distinct))), dtype=np.int64)
    for line, items in zip(padded, distinct, strict=True):
        line[: len(items)] = items
    return padded
