"""Files of a large catalog that every search is measured with.

They are made once for each size and kept, so that indices need not be built in the run that
measures them.
"""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.subjects.large_catalog import fill_enlarged, histories_of, query_vectors
from export.exact_lists import Lists, best_items
from proofs.search_cost.files import CatalogFiles, K
from training.data.storage import load_dataset
from training.distillation.checkpoint import Checkpoint, load_checkpoint
from training.distillation.variants import DISTILLED, TEACHER_FREE
from training.students.item_table import ItemTable
from training.students.student import Student
from training.workplace import Workplace

NUM_QUERIES = 200
ROUNDING = 1e-5  # of a score, by which the sums of two programs may differ


def trained(experiment: Path) -> Checkpoint:
    """Returns the student of an experiment, the distilled one if there is one."""
    students = (
        Workplace(experiment).checkpoints / f"{each}-0" for each in (DISTILLED, TEACHER_FREE)
    )
    return load_checkpoint(next(filter(Path.exists, students)))


def num_trained(experiment: Path) -> int:
    """Returns the number of items of an experiment."""
    return len(trained(experiment).student().item_table.offsets)


def student_of(files: CatalogFiles, experiment: Path) -> Student:
    """Returns the student of an experiment with the item vectors of `files`, which are mapped."""
    student = trained(experiment).student().eval()
    # Mapped as private, since torch warns of arrays that cannot be written.
    table = np.load(files.table, mmap_mode="c", allow_pickle=False)
    student.item_table = ItemTable(2, table.shape[1])  # its vectors are replaced
    student.item_table.offsets.data = torch.from_numpy(table[1:])
    student.pair_bonus = None  # large catalogs have none
    return student.eval()


def make_files(experiment: Path, num_items: int, folder: Path) -> CatalogFiles:
    """Writes the files of a catalog of `num_items` items into `folder`, unless they are there.

    The first items are those of the experiment, whose student and histories are used.
    """
    files = CatalogFiles(folder)
    if files.seen.exists():  # the last file
        return files
    folder.mkdir(parents=True, exist_ok=True)
    student = trained(experiment).student().eval()
    dataset = load_dataset(Workplace(experiment).dataset)
    found = histories_of(dataset, student.item_table.read_items())
    histories, of_export = list(islice(found, NUM_QUERIES)), list(islice(found, NUM_QUERIES))
    files.histories_path.write_text(json.dumps(histories))
    files.export_histories_path.write_text(json.dumps(of_export))
    with torch.no_grad():
        vectors = student.item_table().numpy()
    shape = (num_items + 1, vectors.shape[1])
    table = np.lib.format.open_memmap(files.table, "w+", dtype=np.float32, shape=shape)
    fill_enlarged(table[1:], vectors[1:])
    queries = query_vectors(student, histories)
    np.save(files.queries, queries, allow_pickle=False)
    least = _least(table, queries, [np.array(each) for each in histories])
    np.save(files.least, least, allow_pickle=False)
    np.save(files.seen, _padded(histories), allow_pickle=False)
    return files


def _least(
    table: NDArray[np.float32], queries: NDArray[np.float32], histories: Lists
) -> NDArray[np.float32]:
    best = best_items(table, queries, histories, K)
    pairs = zip(best, queries, strict=True)
    scores = np.array([(table[items] @ query).min() for items, query in pairs], dtype=np.float32)
    return (scores - ROUNDING * np.abs(scores)).astype(np.float32)


def _padded(histories: Sequence[list[int]]) -> NDArray[np.int64]:
    """Returns the distinct items of each history, `[histories, longest]`, with zeros after them."""
    distinct = [np.unique(each) for each in histories]
    padded = np.zeros((len(distinct), max(map(len, distinct))), dtype=np.int64)
    for line, items in zip(padded, distinct, strict=True):
        line[: len(items)] = items
    return padded
