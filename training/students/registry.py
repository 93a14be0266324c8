"""Which class is which `student.kind`."""

from collections.abc import Callable, Mapping

from torch import Tensor

from training.settings.experiment import MAX_COLUMNS, StudentConfig, StudentKind
from training.students.caser import Caser
from training.students.gru4rec import GRU4Rec
from training.students.item_table import ItemTable
from training.students.sasrec import SASRec
from training.students.student import Student

STUDENTS: Mapping[str, Callable[[StudentConfig, ItemTable], Student]] = {
    "sasrec": SASRec,
    "gru4rec": GRU4Rec,
    "caser": Caser,
}
STUDENT_NAMES: Mapping[StudentKind, str] = {
    "sasrec": "SASRec",
    "gru4rec": "GRU4Rec",
    "caser": "Caser",
}
"""For people."""


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
    """A fresh student; `item_embeddings` `[num_rows, size]` make it a student of the LLM's view."""
    table = ItemTable(
        num_rows,
        config.hidden_size,
        item_embeddings,
        embedding_weight,
        offset=offset,
        offset_dropout=offset_dropout,
        max_columns=max_columns,
    )
    return STUDENTS[config.kind](config, table)
