"""Attention of SASRec: causal, with learned biases in place of position embeddings.

Each head has a bias for each distance between two positions. Distances do not depend on padding, so
padding in front of a history does not change its query vector.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.student import StudentConfig
from training.students.item_table import INITIAL_SPREAD

PENALTY = -1e9  # added to the attention scores of padding


class Attention(nn.Module):
    """Causal multi-head attention with a learned bias for each head and each distance.

    A distance is the number of positions from a key to its query.
    """

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
        """Applies causal self-attention.

        Args:
            hidden: `[batch, length, hidden]`.
            mask: `padding_penalty` or `window_penalty` of the histories; None if they are unpadded.

        Returns:
            `[batch, length, hidden]`.
        """
        queries = self._heads(self.queries(hidden))  # [batch, heads, length, size]
        keys, values = map(self._heads, self.keys_and_values(hidden).chunk(2, dim=-1))
        bias = self._bias(hidden.shape[1])
        if mask is not None:
            bias = bias + mask
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return output

    def newest(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Computes the output of `forward` at the last position only, `[batch, hidden]`.

        With one query per head, keys and values need not be computed. `q (K x)` is `(q K) x`, and
        the mean of `V x` is `V` times the mean of `x`. The bias of the key projection is left out:
        it would add the same number to every attention score, and the softmax would not change.

        Args:
            hidden: `[batch, length, hidden]`.
            mask: `padding_penalty` of the histories; None if they are unpadded.
        """
        probes = self._probes(hidden[:, -1])
        bias = self.distance_bias[:, : hidden.shape[1]].flip(-1)
        likeness = probes @ hidden.mT + bias
        if mask is not None:
            likeness = likeness + mask[:, 0]
        return self._output_of_mean(likeness.softmax(dim=-1) @ hidden)

    def _probes(self, newest: Tensor) -> Tensor:
        """Returns a vector for each head; its product with a hidden vector is an attention score.

        The vector is the head's query times the weights of its key projection, divided by the
        square root of the head's size.

        Args:
            newest: `[batch, hidden]`, hidden vectors of the last position.

        Returns:
            `[batch, heads, hidden]`.
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
        """Applies the value and output projections to the mean hidden vector of each head.

        Args:
            means: `[batch, heads, hidden]`, hidden vectors averaged with the attention weights.

        Returns:
            `[batch, hidden]`.
        """
        _, values = self._keys_and_values_by_head()
        heads, size, width = values.shape
        parts = self.output.weight.view(width, heads, size).transpose(0, 1)
        weight = (parts @ values).transpose(0, 1).flatten(1)
        bias = self.output(self.keys_and_values.bias[width:])
        return functional.linear(means.flatten(1), weight, bias)

    def _keys_and_values_by_head(self) -> tuple[Tensor, Tensor]:
        """Returns the weights of the key and value projections by head.

        Each is `[heads, size per head, hidden]`.
        """
        width = self.keys_and_values.in_features
        keys, values = self.keys_and_values.weight.view(2, self.num_heads, -1, width)
        return keys, values

    def _bias(self, length: int) -> Tensor:
        """Returns a bias per head, query position and key position, `[heads, length, length]`.

        The bias is -inf where the key comes after the query. It is computed for the longest history
        and then cut. The uncut bias does not depend on the input, so the export stores it as a
        constant.
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
    """Returns the additive attention mask of padding, `[batch, 1, 1, length]`.

    The mask is 0 for items and `PENALTY` for padding. The penalty is finite, since with -inf
    everywhere the softmax of an all-padding history would be NaN.

    Args:
        histories: `[batch, length]`, item indices; padding is 0.
    """
    penalty: Tensor = (histories == 0)[:, None, None] * PENALTY
    return penalty


def window_penalty(windows: Tensor) -> Tensor:
    """Returns the additive attention mask of packed windows, `[rows, 1, length, length]`.

    The mask is 0 where query and key are of the same window, and `PENALTY` elsewhere.

    Args:
        windows: `[rows, length]`, number of the window at each position.
    """
    penalty: Tensor = (windows[:, None, :, None] != windows[:, None, None, :]) * PENALTY
    return penalty
