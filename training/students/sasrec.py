"""SASRec: a small causal transformer over the history (Kang and McAuley, ICDM 2018).

Pre-norm blocks. A learned bias per head and distance replaces absolute position embeddings. Only
the distance of an item from the query counts, so a history has the same query at any place in a
window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.student import StudentConfig
from training.students.item_table import INITIAL_SPREAD, ItemTable
from training.students.student import Student

PENALTY = -1e9


class SASRec(Student):
    """Self-attention over the history, most recent item last."""

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__(config, item_table)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode`."""
        mask = padding_penalty(histories)
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            hidden = block(hidden, mask)
        queries: Tensor = self.norm(hidden)
        return queries

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode_newest`; the last block computes one position only."""
        return self._newest(histories, table, padding_penalty(histories))

    def encode_unpadded(self, histories: Tensor, table: Tensor) -> Tensor:
        """See `Student.encode_unpadded`; there is no padding to mask."""
        return self._newest(histories, table, None)

    def _newest(self, histories: Tensor, table: Tensor, mask: Tensor | None) -> Tensor:
        hidden: Tensor = self.dropout(functional.embedding(histories, table))
        for block in self.blocks:
            hidden = block(hidden, mask, only_newest=block is self.blocks[-1])
        query: Tensor = self.norm(hidden)
        return query


class Block(nn.Module):
    """A pre-norm transformer block: attention, then a feed-forward layer, both residual."""

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

    def forward(self, hidden: Tensor, mask: Tensor | None, *, only_newest: bool = False) -> Tensor:
        """Maps `[batch, length, hidden]` to the same shape; `only_newest` to `[batch, hidden]`.

        `mask` is `padding_penalty` of the histories, or None if they are unpadded.
        """
        normed = self.attention_norm(hidden)
        if only_newest:
            hidden = hidden[:, -1] + self.dropout(self.attention.newest(normed, mask))
        else:
            hidden = hidden + self.dropout(self.attention(normed, mask))
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

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Causal self-attention, `[batch, length, hidden]` to the same shape."""
        queries = self._heads(self.queries(hidden))  # [batch, heads, length, size]
        keys, values = map(self._heads, self.keys_and_values(hidden).chunk(2, dim=-1))
        bias = self._bias(hidden.shape[1])
        if mask is not None:
            bias = bias + mask
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return output

    def newest(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The output of `forward` at the last position, `[batch, hidden]`.

        Computes no key and no value of any item: `q (K x)` is `(q K) x`, and a mean of `V x` is
        `V` of the mean. The bias of the keys adds the same to every item, so softmax ignores it.
        """
        probes = self._probes(hidden[:, -1])
        bias = self.distance_bias[:, : hidden.shape[1]].flip(-1)
        likeness = probes @ hidden.mT + bias
        if mask is not None:
            likeness = likeness + mask[:, 0]
        return self._output_of_mean(likeness.softmax(dim=-1) @ hidden)

    def _probes(self, newest: Tensor) -> Tensor:
        """Each head's query times its keys' weights, `[batch, heads, hidden]`, scaled.

        The product of a probe with an item's hidden vector is that item's attention score.
        """
        keys, _ = self._keys_and_values_by_head()
        weight = self.queries.weight.view(keys.shape)
        bias = self.queries.bias.view(keys.shape[:2])[..., None]
        scale = keys.shape[1] ** -0.5
        probes = functional.linear(
            newest, (keys.mT @ weight).flatten(0, 1) * scale, (keys.mT @ bias).flatten() * scale
        )
        return probes.view(-1, self.num_heads, keys.shape[2])

    def _output_of_mean(self, means: Tensor) -> Tensor:
        """The output for each head's attention-weighted mean, `[batch, heads, hidden]`."""
        _, values = self._keys_and_values_by_head()
        heads, size, width = values.shape
        parts = self.output.weight.view(width, heads, size).transpose(0, 1)
        weight = (parts @ values).transpose(0, 1).flatten(1)
        bias = self.output(self.keys_and_values.bias[width:])
        return functional.linear(means.flatten(1), weight, bias)

    def _keys_and_values_by_head(self) -> tuple[Tensor, Tensor]:
        """Weights of keys and of values, `[heads, size, hidden]` each."""
        width = self.keys_and_values.in_features
        keys, values = self.keys_and_values.weight.view(2, self.num_heads, -1, width)
        return keys, values

    def _bias(self, length: int) -> Tensor:
        """Causal bias by head, query and item, `[heads, length, length]`; -inf for later items.

        Computed at full length and cut: of a trained student that is a constant, which the export
        folds.
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
    """Attention mask of padding, `[batch, 1, 1, length]`: 0 for items, `PENALTY` for padding.

    Finite, since -inf for every item would make the softmax of an all-padding history NaN.
    """
    penalty: Tensor = (histories == 0)[:, None, None] * PENALTY
    return penalty
