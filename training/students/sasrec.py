"""SASRec: a small causal transformer over the history (Kang and McAuley, ICDM 2018).

Pre-norm blocks. A learned bias per head and distance takes the place of absolute positions: how
far an item lies before the query is all that counts, so a history of any length reads the same
wherever it stands in a window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import StudentConfig
from training.students.student import INITIAL_SPREAD, ItemTable, Student

EVERY = slice(None)
NEWEST = slice(-1, None)


class SASRec(Student):
    """Self-attention over the history, most recent item last."""

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__()
        self.item_table = item_table
        self.max_history_length = config.max_history_length
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode`."""
        return self._read(histories, table, EVERY)

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode_newest`; the last block is computed for one position only."""
        return self._read(histories, table, NEWEST)[:, 0]

    def _read(self, histories: Tensor, table: Tensor, wanted: slice) -> Tensor:
        visible = visible_items(histories)
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            is_last = block is self.blocks[-1]
            hidden = block(hidden, visible, wanted if is_last else EVERY)
        queries: Tensor = self.norm(hidden)
        return queries


class Block(nn.Module):
    """Attention, then a feed-forward layer, each on a normalised copy of what it adds to."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.attention_norm = nn.LayerNorm(size)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(
            nn.Linear(size, size * config.feed_forward_factor),
            nn.GELU(),
            nn.Linear(size * config.feed_forward_factor, size),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, visible: Tensor, wanted: slice) -> Tensor:
        """Maps `[batch, length, hidden]` to `[batch, wanted positions, hidden]`."""
        mixed = self.attention(self.attention_norm(hidden), visible, wanted)
        hidden = hidden[:, wanted] + self.dropout(mixed)
        added: Tensor = self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return hidden + added


class Attention(nn.Module):
    """Multi-head attention with a learned bias per head and distance."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.queries = nn.Linear(config.hidden_size, config.hidden_size)
        self.keys_and_values = nn.Linear(config.hidden_size, 2 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.distance_bias = nn.Parameter(
            torch.randn(config.num_heads, config.max_history_length) * INITIAL_SPREAD
        )

    def forward(self, hidden: Tensor, visible: Tensor, wanted: slice) -> Tensor:
        """Mixes `[batch, length, hidden]` along the length, for the `wanted` positions."""
        queries = self._heads(self.queries(hidden[:, wanted]))  # [batch, heads, wanted, size]
        keys, values = map(self._heads, self.keys_and_values(hidden).chunk(2, dim=-1))
        bias = self.distance_bias[:, distances(hidden.shape[1])]  # [heads, length, length]
        mask = bias.masked_fill(~visible, -torch.inf)[:, :, wanted]
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return output

    def _heads(self, hidden: Tensor) -> Tensor:
        batch, length, size = hidden.shape
        parts = hidden.view(batch, length, self.num_heads, size // self.num_heads)
        return parts.transpose(1, 2)


def visible_items(histories: Tensor) -> Tensor:
    """What each position may read, `[batch, 1, length, length]`: real items up to itself.

    Padding may read itself, so that no softmax is empty; nothing reads padding.
    """
    positions = torch.arange(histories.shape[1])
    causal = positions[:, None] >= positions
    itself = positions[:, None] == positions
    real = (histories != 0)[:, None, :]
    return (causal & (real | itself))[:, None]


def distances(length: int) -> Tensor:
    """How many places before the reader each item lies, `[length, length]`; later items 0."""
    positions = torch.arange(length)
    return (positions[:, None] - positions).clamp(min=0)
