"""SASRec: a small causal transformer over the history (Kang and McAuley, ICDM 2018).

`training/students/blocks.py` defines the blocks, `training/students/attention.py` the attention.
"""

from torch import Tensor, nn
from torch.nn import functional

from training.settings.student import StudentConfig
from training.students.attention import padding_penalty, window_penalty
from training.students.blocks import BLOCKS
from training.students.item_table import ItemTable
from training.students.student import Student


class SASRec(Student):
    """The SASRec student: causal self-attention over the history, oldest item first."""

    packs_windows = True

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__(config, item_table)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(BLOCKS[config.block](config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """Implements `Student.encode`."""
        return self._encode(histories, table, padding_penalty(histories))

    def encode_packed(self, histories: Tensor, windows: Tensor, table: Tensor) -> Tensor:
        """Implements `Student.encode_packed`; attention stays within a window."""
        return self._encode(histories, table, window_penalty(windows))

    def _encode(self, histories: Tensor, table: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            hidden = block(hidden, mask)
        queries: Tensor = self.norm(hidden)
        return queries

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """Implements `Student.encode_newest`; the last block computes one position only."""
        return self._newest(histories, table, padding_penalty(histories))

    def encode_unpadded(self, histories: Tensor, table: Tensor) -> Tensor:
        """Implements `Student.encode_unpadded`; no attention mask is needed."""
        return self._newest(histories, table, None)

    def _newest(self, histories: Tensor, table: Tensor, mask: Tensor | None) -> Tensor:
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            hidden = block(hidden, mask, only_newest=block is self.blocks[-1])
        query: Tensor = self.norm(hidden)
        return query
