"""Builds students by kind. The kinds are listed in `training/settings/student.py`."""

from importlib import import_module

from torch import Tensor

from training.settings.experiment import MAX_COLUMNS
from training.settings.student import STUDENT_NAMES, StudentConfig, StudentKind
from training.students.item_table import ItemTable
from training.students.student import Student


def student_class(kind: StudentKind) -> type[Student]:
    """Returns the class named `STUDENT_NAMES[kind]` of the module `training.students.<kind>`.

    The class is found by its name, so a new student needs changes in two files only: its own
    module, and `training/settings/student.py`.
    """
    module = import_module(f"training.students.{kind}")
    found: type[Student] = getattr(module, STUDENT_NAMES[kind])
    return found


def build_student(
    config: StudentConfig,
    num_rows: int,
    item_embeddings: Tensor | None = None,
    embedding_weight: float = 1.0,
    *,
    offset: bool = True,
    offset_dropout: float = 0.0,
    max_columns: int = MAX_COLUMNS,
    readable: Tensor | None = None,
) -> Student:
    """Builds an untrained student.

    Args:
        config: kind and sizes of the student.
        num_rows: number of catalog rows, padding row 0 counted.
        item_embeddings: `[num_rows, size]`, LLM embeddings of the titles; None: an item vector is
            an offset only.
        embedding_weight: factor of the projected embedding.
        offset: whether each item learns an offset.
        offset_dropout: share of items whose offset a training step leaves out.
        max_columns: maximum number of principal columns of the embeddings that the student reads.
        readable: `[num_rows]`, whether the student reads each item in a history; None: it reads all
            items.
    """
    table = ItemTable(
        num_rows,
        config.hidden_size,
        item_embeddings,
        embedding_weight,
        offset=offset,
        offset_dropout=offset_dropout,
        max_columns=max_columns,
        readable=readable,
    )
    return student_class(config.kind)(config, table)
