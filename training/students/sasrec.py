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
        visible = visible_items(histories)
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            hidden = block(hidden, visible)
        queries: Tensor = self.norm(hidden)
        return queries

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode_newest`; the last block reads for one position only."""
        visible = visible_items(histories)
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        *blocks, last = self.blocks
        for block in blocks:
            hidden = block(hidden, visible)
        query: Tensor = self.norm(last.newest(hidden, visible))
        return query


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

    def forward(self, hidden: Tensor, visible: Tensor) -> Tensor:
        """Maps `[batch, length, hidden]` to the same shape."""
        return self._add(hidden, self.attention(self.attention_norm(hidden), visible))

    def newest(self, hidden: Tensor, visible: Tensor) -> Tensor:
        """What `forward` makes of the last position, `[batch, hidden]`."""
        mixed = self.attention.newest(self.attention_norm(hidden), visible)
        return self._add(hidden[:, -1], mixed)

    def _add(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + self.dropout(mixed)
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

    def forward(self, hidden: Tensor, visible: Tensor) -> Tensor:
        """Mixes `[batch, length, hidden]` along the length."""
        queries = self._heads(self.queries(hidden))  # [batch, heads, length, size]
        keys, values = map(self._heads, self.keys_and_values(hidden).chunk(2, dim=-1))
        mask = torch.where(visible, self._biases(hidden.shape[1]), -torch.inf)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return output

    def newest(self, hidden: Tensor, visible: Tensor) -> Tensor:
        """What `forward` makes of the last position, `[batch, hidden]`.

        No key and no value is made: `q (K x)` is `(q K) x`, and a mean of `V x` is V of the mean.
        What a key's own bias adds is the same for all items, so softmax does not see it.
        """
        heads, width = self.num_heads, hidden.shape[-1]
        size = width // heads
        keys, values = self.keys_and_values.weight.view(2, heads, size, width)
        queries = self.queries(hidden[:, -1]).view(-1, heads, 1, size) * size**-0.5
        probes = queries @ keys  # [batch, heads, 1, hidden]
        read = hidden[:, None]
        biases = self.distance_bias.flip(-1)[:, None, -hidden.shape[1] :]
        mask = torch.where(visible[:, :, -1:], biases, -torch.inf)
        weights = (probes @ read.mT + mask).softmax(dim=-1)  # [batch, heads, 1, length]
        mixed = (weights @ read) @ values.mT
        output: Tensor = self.output(mixed.flatten(1) + self.keys_and_values.bias[width:])
        return output

    def _biases(self, length: int) -> Tensor:
        """By head, reader and item read, `[heads, length, length]`.

        All distances first: for a trained student that is a constant, which its export folds.
        """
        every = distances(self.distance_bias.shape[1])
        return self.distance_bias[:, every][:, :length, :length]

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
