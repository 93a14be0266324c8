"""`PairBonus`: adds to a student's scores what a table of item pairs tells.

A student with small item vectors cannot hold which items follow which. The table can: for each item
it has the items that occur near it in other sessions, with the weights of their pairs. An item's
bonus is

    strength * log(1 + sum_p decay ** (p - 1) * weight(a_p, item))

where `a_p` is the `p`-th newest item of the window, and `weight` is 0 for a pair that the table
lacks. `training/distillation/after_training/pair_fit.py` counts the pairs and chooses the settings.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# Maximum number of items of a catalog whose students get a bonus. Larger ones are searched by
# blocks (`export.graphs.blocks`), which find items by their vectors alone.
MAX_ITEMS = 262_142
STATE_PREFIX = "pair_bonus."  # prefix of a `PairBonus` in a student's state dict


class PairBonus(nn.Module):
    """Module that computes the bonus of each item after a history.

    Attributes:
        items: `[catalog rows, pairs]`, int32, the items that each item has pairs with, each once; 0
            fills up.
        weights: `[catalog rows, pairs]`, the weights of the pairs; 0 where `items` is 0. Row 0,
            padding, has no pairs.
        decay: factor between the weights of an item of the window and the one after it.
        strength: factor of the logarithm.
    """

    items: Tensor
    weights: Tensor
    decay: Tensor
    strength: Tensor

    def __init__(self, items: Tensor, weights: Tensor, decay: float, strength: float) -> None:
        super().__init__()
        self.register_buffer("items", items)
        self.register_buffer("weights", weights)
        self.register_buffer("decay", torch.tensor(decay))
        self.register_buffer("strength", torch.tensor(strength))

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> "PairBonus":
        """Makes a module whose tensors have the shapes of those in `state`, by name."""
        items, weights = state["items"], state["weights"]
        return cls(torch.zeros_like(items), torch.zeros_like(weights), 0.0, 0.0)

    def forward(self, histories: Tensor) -> Tensor:
        """Computes the bonus of each item after each history, `[batch, catalog rows]`.

        Args:
            histories: `[batch, length]`, item indices, padded on the left.
        """
        ages = torch.arange(histories.shape[1] - 1, -1, -1, device=histories.device)
        weights = self.weights[histories] * (self.decay**ages)[:, None]
        # Not len(histories): an exporter would take it for a constant.
        sums = weights.new_zeros(histories.shape[0], len(self.items))
        sums.scatter_add_(1, self.items[histories].flatten(1).long(), weights.flatten(1))
        return self.strength * torch.log1p(sums)
