"""Blocks of SASRec: attention, then a feed-forward layer, each added to its input.

- `pre-norm` applies layer normalisation to the input of both layers.
- `original` has the same normalisation, and adds the output of a layer to its normalised input, as
  the code of SASRec's authors does (Kang and McAuley, ICDM 2018). So the newest item has its weight
  in the query vector from the first step on, where `pre-norm` adds to item vectors that begin near
  zero. Keys and values are normalised too, unlike theirs.
- `ligr` has the same normalisation. It also multiplies both outputs by a gate before they are
  added. The gate is the sigmoid of a linear layer of the unnormalised input. The feed-forward layer
  is a SwiGLU. The block is LiGR's (Borisyuk et al., 2025, arXiv 2502.03417), in the form of eSASRec
  (RecSys 2025).
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.student import BlockKind, StudentConfig
from training.students.attention import Attention


class Block(nn.Module):
    """A pre-norm transformer block: attention, then a feed-forward layer, each with a residual.

    Attributes:
        adds_to_normed: whether a layer's output is added to its normalised input, in place of the
            input itself.
        attention_gate: linear layer that computes the gate of the attention's output; None if the
            output is not gated.
        feed_forward_gate: linear layer that computes the gate of the feed-forward layer's output;
            None if the output is not gated.
    """

    adds_to_normed: ClassVar[bool] = False
    attention_gate: nn.Linear | None
    feed_forward_gate: nn.Linear | None

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size)
        self.feed_forward = self.feed_forward_layer(config)
        self.dropout = nn.Dropout(config.dropout)
        self.attention_gate = self.feed_forward_gate = None

    def feed_forward_layer(self, config: StudentConfig) -> nn.Module:
        """Creates the feed-forward layer, two linear layers with GELU between them.

        It maps `[..., hidden]` to the same shape. `config` has both sizes, `hidden_size` and the
        factor by which the inner layer is larger.
        """
        size = config.hidden_size
        return nn.Sequential(
            nn.Linear(size, size * config.feed_forward_factor),
            nn.GELU(),
            nn.Linear(size * config.feed_forward_factor, size),
        )

    def forward(self, hidden: Tensor, mask: Tensor | None, *, only_newest: bool = False) -> Tensor:
        """Applies the block to `[batch, length, hidden]`.

        Args:
            hidden: `[batch, length, hidden]`.
            mask: `padding_penalty` of the histories; None if they are unpadded.
            only_newest: whether to compute the last position only.

        Returns:
            `[batch, length, hidden]`, or `[batch, hidden]` with `only_newest`.
        """
        normed = self.attention_norm(hidden)
        if only_newest:
            mixed = self.attention.newest(normed, mask)
            hidden, normed = hidden[:, -1], normed[:, -1]
        else:
            mixed = self.attention(normed, mask)
        base = normed if self.adds_to_normed else hidden
        hidden = base + gated(self.attention_gate, hidden, self.dropout(mixed))
        normed = self.feed_forward_norm(hidden)
        added = self.dropout(self.feed_forward(normed))
        base = normed if self.adds_to_normed else hidden
        return base + gated(self.feed_forward_gate, hidden, added)


class OriginalBlock(Block):
    """A block whose layers add to their normalised input."""

    adds_to_normed = True


class LigrBlock(Block):
    """A LiGR block: its residuals are gated, and its feed-forward layer is a SwiGLU."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.attention_gate = nn.Linear(size, size)
        self.feed_forward_gate = nn.Linear(size, size)

    def feed_forward_layer(self, config: StudentConfig) -> nn.Module:
        """Creates the feed-forward layer, a SwiGLU; it maps `[..., hidden]` to the same shape."""
        return SwiGLU(config)


class SwiGLU(nn.Module):
    """A feed-forward layer `W (silu(U x) * V x)` without biases (Shazeer, 2020).

    `*` multiplies element by element.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.hidden_size * config.feed_forward_factor
        self.switch = nn.Linear(size, inner, bias=False)
        self.values = nn.Linear(size, inner, bias=False)
        self.output = nn.Linear(inner, size, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Maps `[..., hidden]` to the same shape."""
        inner = functional.silu(self.switch(hidden)) * self.values(hidden)
        output: Tensor = self.output(self.dropout(inner))
        return output


BLOCKS: Mapping[BlockKind, type[Block]] = {
    "pre-norm": Block,
    "original": OriginalBlock,
    "ligr": LigrBlock,
}


def gated(gate: nn.Linear | None, hidden: Tensor, added: Tensor) -> Tensor:
    """Returns `sigmoid(gate(hidden)) * added`, or `added` itself if `gate` is None.

    All tensors have the same shape, `[..., hidden]`.
    """
    return added if gate is None else torch.sigmoid(gate(hidden)) * added
