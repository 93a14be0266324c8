"""Builds the student of a kind. `training/settings/student.py` is the registry of kinds."""

from importlib import import_module

from torch import Tensor

from training.settings.experiment import MAX_COLUMNS
from training.settings.student import STUDENT_NAMES, StudentConfig, StudentKind
from training.students.item_table import ItemTable
from training.students.student import Student


def student_class(kind: StudentKind) -> type[Student]:
    """The class named `STUDENT_NAMES[kind]` in the module `training.students.<kind>`.

    Found by name, so that a new student touches no file but its own and the registry of kinds.
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
) -> Student:
    """Builds an untrained student.

    Args:
        config: kind and shape.
        num_rows: catalog rows, padding row 0 counted.
        item_embeddings: `[num_rows, size]`, the LLM's; None for an id table.
        embedding_weight: see `ItemTable`, as the settings below.
        offset: see `ItemTable`.
        offset_dropout: see `ItemTable`.
        max_columns: see `ItemTable`.
    """
    table = ItemTable(
        num_rows,
        config.hidden_size,
        item_embeddings,
        embedding_weight,
        offset=offset,
        offset_dropout=offset_dropout,
        max_columns=max_columns,
    )
    return student_class(config.kind)(config, table)
