"""The one interface of the students, and the item table that all of them score with."""

import torch
from torch import Tensor, nn


class ItemTable(nn.Module):
    """Item vectors `e_i = weight * g(z_i) + b_i` (paper eq. 12-13), tied for input and scoring.

    Without LLM embeddings it is a plain id table (`b_i` alone).
    """

    def forward(self) -> Tensor:
        """Returns the whole table, `[catalog rows, hidden]`, row 0 zeros."""
        raise NotImplementedError


class Student(nn.Module):
    """A sequential model that turns a history into a query vector.

    `item_table` is the only place where items have vectors; `score = query @ item_table().T`.
    """

    item_table: ItemTable
    max_history_length: int

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """Maps `[batch, length]` left-padded item indices to queries `[batch, length, hidden]`.

        The query at position `p` has read items `0..p` and predicts item `p + 1`. `length` may be
        anything up to `max_history_length`; positions are counted from the newest item.
        """
        raise NotImplementedError

    def score(self, histories: Tensor) -> Tensor:
        """Scores of the item after each history, `[batch, catalog rows]`, padding -inf."""
        table: Tensor = self.item_table()
        scores = self.encode(histories, table)[:, -1] @ table.T
        scores[:, 0] = -torch.inf
        return scores
