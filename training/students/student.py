"""The `Student` interface: a sequential model that turns a history into a query vector."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from training.settings.student import StudentConfig
from training.students.item_table import ItemTable
from training.students.pair_bonus import STATE_PREFIX, PairBonus


class Student(nn.Module):
    """Base class of all students; a subclass implements `encode`.

    The scores of all items are `query_vector @ item_table().T`, plus the pair bonus if there is
    one.

    Attributes:
        item_table: the item vectors, for input and for scoring.
        max_history_length: maximum number of newest items that the student reads.
        pair_bonus: the table of item pairs; None during training, and for a student without a
            bonus.
        packs_windows: whether the student implements `encode_packed`.
    """

    packs_windows: ClassVar[bool] = False

    item_table: ItemTable
    max_history_length: int
    pair_bonus: PairBonus | None

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__()
        self.item_table = item_table
        self.max_history_length = config.max_history_length
        self.pair_bonus = None
        self.register_load_state_dict_pre_hook(_create_pair_bonus)  # type: ignore[no-untyped-call]  # torch's

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
        if self.pair_bonus is not None:
            scores = scores + self.pair_bonus(histories)
        scores[:, 0] = -torch.inf
        return scores


def _create_pair_bonus(student: Student, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Gives `student` a pair bonus if `state` has one, else none; torch calls it before loading.

    torch loads values into existing tensors only. Names in `state` begin with `prefix`.
    """
    start = f"{prefix}{STATE_PREFIX}"
    saved = {
        name.removeprefix(start): each for name, each in state.items() if name.startswith(start)
    }
    device = student.item_table.padding.device
    student.pair_bonus = PairBonus.like(saved).to(device) if saved else None
