"""Caser: convolutions over the newest items, read like an image (Tang and Wang, WSDM 2018).

At each position, the vectors of the last `L` items form an `[L, hidden]` image. Horizontal filters
of each height from 1 to `L` slide down the image, and their outputs are max-pooled. Vertical
filters are weighted sums of the image's rows. The paper's user vector is left out, since a student
reads a history and no user id.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.student import StudentConfig
from training.students.item_table import ItemTable
from training.students.student import Student


class Caser(Student):
    """The Caser student: convolutions over the last `config.convolution_window` items."""

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__(config, item_table)
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
        """Implements `Student.encode`."""
        return self._query_vectors(self._windows(histories, table))

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """Implements `Student.encode_newest`; only the last image is computed."""
        return self._query_vectors(self._windows(histories, table)[:, -self.window :])[:, 0]

    def _windows(self, histories: Tensor, table: Tensor) -> Tensor:
        """Looks up the vectors of `histories` in `table`, and puts `window - 1` zero vectors first.

        `histories` are item indices, `[batch, length]`; `table` is `[catalog rows, hidden]`. The
        result is `[batch, window - 1 + length, hidden]`. The image at position `p` consists of the
        rows `p` to `p + window - 1` of the result.
        """
        items = functional.embedding(histories, table)
        return functional.pad(items, (0, 0, self.window - 1, 0))

    def _query_vectors(self, items: Tensor) -> Tensor:
        """Maps the output of `_windows` to query vectors, `[batch, length, hidden]`."""
        features = torch.cat([*self._horizontal(items), self._vertical(items)], dim=-1)
        mixed = self.mix(self.dropout(features))
        queries: Tensor = self.norm(torch.relu(mixed))
        return queries

    def _horizontal(self, items: Tensor) -> list[Tensor]:
        """Applies the horizontal filters to the output of `_windows`.

        Returns:
            One tensor `[batch, length, filters]` for each height of filters.
        """
        outputs = [torch.relu(filters(items.mT)) for filters in self.horizontal]
        return [
            functional.max_pool1d(output, self.window - height + 1, stride=1).mT
            for height, output in enumerate(outputs, start=1)
        ]

    def _vertical(self, items: Tensor) -> Tensor:
        """Applies the vertical filters to the output of `_windows`.

        Returns:
            `[batch, length, filters * hidden]`.
        """
        sums: Tensor = self.vertical(items[:, None])  # [batch, filters, length, hidden]
        return sums.transpose(1, 2).flatten(2)
