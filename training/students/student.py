"""The `Student` interface: a sequential model that turns a history into a query vector."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from training.settings.student import StudentConfig
from training.students.item_table import ItemTable


class Student(nn.Module):
    """Base class of all students; a subclass implements `encode`.

    The scores of all items are `query_vector @ item_table().T`.

    Attributes:
        item_table: the item vectors, for input and for scoring.
        max_history_length: maximum number of newest items that the student reads.
        packs_windows: whether the student implements `encode_packed`.
    """

    packs_windows: ClassVar[bool] = False

    item_table: ItemTable
    max_history_length: int

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__()
        self.item_table = item_table
        self.max_history_length = config.max_history_length

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """Maps histories to query vectors, `[batch, length, hidden]`.

        The query vector at position `p` depends on items `0..p` and predicts item `p + 1`. Padding
        in front of a history changes none of its query vectors.

        Args:
            histories: `[batch, length]`, item indices, padded on the left; `length` is at most
                `max_history_length`.
            table: `[catalog rows, hidden]`, the item vectors, as `item_table()` returns them.
        """
        raise NotImplementedError

    def encode_packed(self, histories: Tensor, windows: Tensor, table: Tensor) -> Tensor:
        """Maps histories to query vectors; a row of the batch holds several histories, in sequence.

        Only students with `packs_windows` implement this method. The query vectors of a history are
        those that `encode` computes for this history alone.

        Args:
            histories: `[rows, length]`, item indices; padding is 0. The items of a history are
                consecutive.
            windows: `[rows, length]`, number of the history at each position.
            table: `[catalog rows, hidden]`, the item vectors, as `item_table()` returns them.

        Returns:
            `[rows, length, hidden]`, query vectors.
        """
        raise NotImplementedError

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """Returns only the last query vector of each history, `[batch, hidden]`.

        A subclass can override this method to compute less. As for `encode`, `histories` is
        `[batch, length]`, padded on the left, and `table` is `[catalog rows, hidden]`.
        """
        return self.encode(histories, table)[:, -1]

    def encode_unpadded(self, histories: Tensor, table: Tensor) -> Tensor:
        """Returns the last query vectors, `[batch, hidden]`, of histories that have no padding.

        A subclass can override this method to skip its padding mask. As for `encode`, `histories`
        is `[batch, length]`, and `table` is `[catalog rows, hidden]`.
        """
        return self.encode_newest(histories, table)

    def score(self, histories: Tensor, table: Tensor | None = None) -> Tensor:
        """Scores all items after each history, `[batch, catalog rows]`; column 0, padding, is -inf.

        Args:
            histories: `[batch, length]`, item indices, padded on the left.
            table: `[catalog rows, hidden]`, the item vectors, as `item_table()` returns them; None:
                they are computed.
        """
        table = self.item_table() if table is None else table
        scores = self.encode_newest(histories, table) @ table.T
        scores[:, 0] = -torch.inf
        return scores
