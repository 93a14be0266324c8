"""The `Student` interface: a sequential model that turns a history into a query vector."""

import torch
from torch import Tensor, nn

from training.settings.student import StudentConfig
from training.students.item_table import ItemTable


class Student(nn.Module):
    """Base class of all students; a subclass implements `encode`.

    `score = query @ item_table().T`: the item table is the only place where items have vectors.

    Attributes:
        item_table: vectors of the catalog.
        max_history_length: number of newest items that the student reads.
    """

    item_table: ItemTable
    max_history_length: int

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__()
        self.item_table = item_table
        self.max_history_length = config.max_history_length

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """Maps `[batch, length]` left-padded item indices to queries `[batch, length, hidden]`.

        The query at position `p` has read items `0..p` and predicts item `p + 1`. `length` may be
        anything up to `max_history_length`; padding in front changes no query.
        """
        raise NotImplementedError

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """The last query only, `[batch, hidden]`; a subclass may compute it in fewer operations."""
        return self.encode(histories, table)[:, -1]

    def encode_unpadded(self, histories: Tensor, table: Tensor) -> Tensor:
        """The last query of histories without padding; a subclass may skip its padding mask."""
        return self.encode_newest(histories, table)

    def score(self, histories: Tensor) -> Tensor:
        """Scores of the item after each history, `[batch, catalog rows]`, padding -inf."""
        table: Tensor = self.item_table()
        scores = self.encode_newest(histories, table) @ table.T
        scores[:, 0] = -torch.inf
        return scores
