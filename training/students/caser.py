"""Caser: convolutions over the newest items as over an image (Tang and Wang, WSDM 2018).

Each position looks at the `L` items up to itself as an `[L, hidden]` picture. Horizontal filters
of every height slide down it and keep their strongest answer; vertical filters are weighted sums
of its rows. The paper's user vector is left out: the students here know users by their history.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.experiment import StudentConfig
from training.students.item_table import ItemTable
from training.students.student import Student


class Caser(Student):
    """Horizontal and vertical convolutions over the last `config.convolution_window` items."""

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__()
        self.item_table = item_table
        self.max_history_length = config.max_history_length
        self.window = config.convolution_window
        self.dropout = nn.Dropout(config.dropout)
        size, heights = config.hidden_size, range(1, self.window + 1)
        self.horizontal = nn.ModuleList(
            nn.Conv1d(size, config.horizontal_filters, height) for height in heights
        )
        self.vertical = nn.Conv2d(1, config.vertical_filters, (self.window, 1))
        num_features = self.window * config.horizontal_filters + size * config.vertical_filters
        self.mix = nn.Linear(num_features, size)
        self.norm = nn.LayerNorm(size)

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode`."""
        return self._look(self._pictures(histories, table))

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode_newest`; only the last picture is looked at."""
        return self._look(self._pictures(histories, table)[:, -self.window :])[:, 0]

    def _pictures(self, histories: Tensor, table: Tensor) -> Tensor:
        """Item vectors with the zeros that the first pictures lack in front of them.

        `[batch, window - 1 + length, hidden]`: the picture of position `p` is rows `p` to
        `p + window - 1`.
        """
        items = functional.embedding(histories, table)
        return functional.pad(items, (0, 0, self.window - 1, 0))

    def _look(self, items: Tensor) -> Tensor:
        """Maps `[batch, window - 1 + length, hidden]` to queries `[batch, length, hidden]`."""
        features = torch.cat([*self._horizontal(items), self._vertical(items)], dim=-1)
        mixed = self.mix(self.dropout(features))
        queries: Tensor = self.norm(torch.relu(mixed))
        return queries

    def _horizontal(self, items: Tensor) -> list[Tensor]:
        """The strongest answer within each picture, `[batch, length, filters]` per height."""
        answers = [torch.relu(filters(items.mT)) for filters in self.horizontal]
        return [
            functional.max_pool1d(answer, self.window - height + 1, stride=1).mT
            for height, answer in enumerate(answers, start=1)
        ]

    def _vertical(self, items: Tensor) -> Tensor:
        """Weighted sums over each picture's rows, `[batch, length, filters * hidden]`."""
        sums: Tensor = self.vertical(items[:, None])  # [batch, filters, length, hidden]
        return sums.transpose(1, 2).flatten(2)
