"""SASRec: a small causal transformer over the history (Kang and McAuley, ICDM 2018).

Pre-norm blocks. A learned bias per head and distance takes the place of absolute positions: how
far an item lies before the query is all that counts, so a history of any length reads the same
wherever it stands in a window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.experiment import StudentConfig
from training.students.item_table import INITIAL_SPREAD, ItemTable
from training.students.student import Student

PENALTY = -1e9


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
        unread = padding_penalty(histories)
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            hidden = block(hidden, unread)
        queries: Tensor = self.norm(hidden)
        return queries

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode_newest`; the last block reads for one position only."""
        return self._newest(histories, table, padding_penalty(histories))

    def encode_unpadded(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode_unpadded`; no item is kept from being read."""
        return self._newest(histories, table, None)

    def _newest(self, histories: Tensor, table: Tensor, unread: Tensor | None) -> Tensor:
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            hidden = block(hidden, unread, only_newest=block is self.blocks[-1])
        query: Tensor = self.norm(hidden)
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

    def forward(
        self, hidden: Tensor, unread: Tensor | None, *, only_newest: bool = False
    ) -> Tensor:
        """Maps `[batch, length, hidden]` to the same shape, or `[batch, hidden]` of the newest."""
        normed = self.attention_norm(hidden)
        if only_newest:
            hidden = hidden[:, -1] + self.dropout(self.attention.newest(normed, unread))
        else:
            hidden = hidden + self.dropout(self.attention(normed, unread))
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

    def forward(self, hidden: Tensor, unread: Tensor | None) -> Tensor:
        """Mixes `[batch, length, hidden]` along the length."""
        queries = self._heads(self.queries(hidden))  # [batch, heads, length, size]
        keys, values = map(self._heads, self.keys_and_values(hidden).chunk(2, dim=-1))
        mask = self._bias(hidden.shape[1])
        if unread is not None:
            mask = mask + unread
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return output

    def newest(self, hidden: Tensor, unread: Tensor | None) -> Tensor:
        """What `forward` makes of the last position, `[batch, hidden]`.

        No key and no value is made: `q (K x)` is `(q K) x`, and a mean of `V x` is V of the mean.
        What the keys' bias adds is the same for every item, so that softmax does not see it.
        """
        probes = self._probes(hidden[:, -1])
        bias = self.distance_bias[:, : hidden.shape[1]].flip(-1)
        likeness = probes @ hidden.mT + bias
        if unread is not None:
            likeness = likeness + unread[:, 0]
        return self._output_of_read(likeness.softmax(dim=-1) @ hidden)

    def _probes(self, reader: Tensor) -> Tensor:
        """What each head looks for, as vectors to compare items with, `[batch, heads, hidden]`."""
        keys, _ = self._keys_and_values_by_head()
        weight = self.queries.weight.view(keys.shape)
        bias = self.queries.bias.view(keys.shape[:2])[..., None]
        scale = keys.shape[1] ** -0.5
        probes = functional.linear(
            reader, (keys.mT @ weight).flatten(0, 1) * scale, (keys.mT @ bias).flatten() * scale
        )
        return probes.view(-1, self.num_heads, keys.shape[2])

    def _output_of_read(self, read: Tensor) -> Tensor:
        """The output for the mean of items that each head has read, `[batch, heads, hidden]`."""
        _, values = self._keys_and_values_by_head()
        heads, size, width = values.shape
        parts = self.output.weight.view(width, heads, size).transpose(0, 1)
        weight = (parts @ values).transpose(0, 1).flatten(1)
        bias = self.output(self.keys_and_values.bias[width:])
        return functional.linear(read.flatten(1), weight, bias)

    def _keys_and_values_by_head(self) -> tuple[Tensor, Tensor]:
        """The weights, `[heads, size, hidden]` each."""
        width = self.keys_and_values.in_features
        keys, values = self.keys_and_values.weight.view(2, self.num_heads, -1, width)
        return keys, values

    def _bias(self, length: int) -> Tensor:
        """By head, reader and item, `[heads, length, length]`; -inf for items after the reader.

        Made in full length and cut: for a trained student a constant, which its export folds.
        """
        positions = torch.arange(self.distance_bias.shape[1])
        distances = positions[:, None] - positions
        bias = self.distance_bias[:, distances.clamp(min=0)].masked_fill(distances < 0, -torch.inf)
        return bias[:, :length, :length]

    def _heads(self, hidden: Tensor) -> Tensor:
        batch, length, size = hidden.shape
        parts = hidden.view(batch, length, self.num_heads, size // self.num_heads)
        return parts.transpose(1, 2)


def padding_penalty(histories: Tensor) -> Tensor:
    """What keeps padding from being read, `[batch, 1, 1, length]`: softmax makes nothing of it.

    It is finite, so that padding, which has nothing else to read, may read padding.
    """
    penalty: Tensor = (histories == 0)[:, None, None] * PENALTY
    return penalty
