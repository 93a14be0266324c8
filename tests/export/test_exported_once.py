"""The store of exported encoders that tests share (`tests/exported_once.py`)."""

from pathlib import Path

import onnx
import torch
from onnx import parser
from torch import Tensor

from tests.export.graphs.searched import NUM_ITEMS, some_vectors, student_of
from tests.exported_once import Export, stored
from training.students.pair_bonus import PairBonus
from training.students.student import Student


def counted(exported: list[Student]) -> Export:
    """An exporter that notes the students it is asked for."""

    def export(student: Student, _: Tensor) -> onnx.GraphProto:
        exported.append(student)
        return parser.parse_graph("encoder (float[1] vector) => (float[1] query) {}")

    return export


def test_of_equal_students_made_one_after_the_other_one_is_exported(tmp_path: Path) -> None:
    exported: list[Student] = []
    export = stored(tmp_path, "encoder", counted(exported))
    students = student_of(some_vectors()), student_of(some_vectors())
    first, again = (export(each, each.item_table()) for each in students)
    assert len(exported) == 1
    assert first == again


def test_of_students_that_differ_in_their_pair_bonus_alone_one_is_exported(
    tmp_path: Path,
) -> None:
    exported: list[Student] = []
    export = stored(tmp_path, "encoder", counted(exported))
    for strength in (0.5, 0.7, None):
        student = student_of(some_vectors())
        if strength:
            pairs = torch.zeros((NUM_ITEMS + 1, 1), dtype=torch.int32)
            student.pair_bonus = PairBonus(pairs, torch.zeros(pairs.shape), 0.5, strength)
        export(student, student.item_table())
    assert len(exported) == 1


def test_students_whose_weights_differ_are_exported_each(tmp_path: Path) -> None:
    exported: list[Student] = []
    export = stored(tmp_path, "encoder", counted(exported))
    vectors = some_vectors()
    for student in (student_of(vectors), student_of(vectors, vectors[0])):
        export(student, student.item_table())
    assert len(exported) == 2
