"""Students whose item vectors and queries a test chooses."""

import numpy as np
import torch
from numpy.typing import NDArray

from training.settings.student import StudentConfig
from training.students.item_table import ItemTable
from training.students.registry import build_student
from training.students.sasrec import SASRec
from training.students.student import Student

NUM_ITEMS = 400
HIDDEN_SIZE = 16
WINDOW = 6
Vectors = NDArray[np.float32]


def some_vectors(num_items: int = NUM_ITEMS) -> Vectors:
    vectors = np.random.default_rng(0).normal(size=(num_items, HIDDEN_SIZE))
    return vectors.astype(np.float32)


def student_of(vectors: Vectors, query: Vectors | None = None) -> Student:
    """A student with these item vectors; with `query`, it has that query after any history."""
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=WINDOW, hidden_size=HIDDEN_SIZE)
    student = build_student(config, 2)  # so that its weights depend on no number of items
    student.item_table = ItemTable(len(vectors) + 1, HIDDEN_SIZE)
    student.item_table.offsets.data = torch.from_numpy(vectors)
    if query is not None:
        assert isinstance(student, SASRec)
        student.norm.weight.data.zero_()
        student.norm.bias.data = torch.from_numpy(query)
    return student.eval()
