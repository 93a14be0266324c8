"""Choice model: weighs signals so that their sum is the logarithm of an item's odds to be next.

It is the conditional logit of McFadden (1974). Its few weights are fitted to validation examples,
so its probabilities are calibrated there, and no other temperature is needed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import seen_items
from training.teacher.fusion.signals import SignalName, Signals

MAX_EXAMPLES = 2_000
MAX_SCORES = 2**24  # examples times items, so that a fit needs bounded memory
MIN_EXAMPLES = 50  # however many items there are: 0.8 GB for 1,000,000 of them
PENALTY = 1e-3  # of squared weights, so that a constant signal has a weight, which is 0
STEPS = 50  # maximum number of steps of the optimiser

Weights = Mapping[SignalName, float]


def odds(signals: Mapping[SignalName, Tensor], weights: Weights) -> Tensor:
    """Sums weighted signals: the logarithms of items' odds, `[rows, items]` as each signal."""
    first, *others = weights
    total = signals[first] * weights[first]
    for name in others:
        total.add_(signals[name], alpha=weights[name])
    return total


def fit_on_validation(signals: Signals, dataset: Dataset) -> Weights:
    """Fits the weights to validation examples whose next item is trained and new to the user.

    The candidates are the trained items that are new to the user, as students have them.

    Args:
        signals: signals on `dataset`.
        dataset: dataset with validation examples.
    """
    candidates = np.flatnonzero(dataset.warm_items())
    rows = dataset.example_rows(Split.VALIDATION)
    rows = rows[np.isin(dataset.item_indices[rows], candidates)]
    most = min(max(MAX_SCORES // max(len(candidates), 1), MIN_EXAMPLES), MAX_EXAMPLES)
    rows = rows[:: -(-len(rows) // most) or 1]
    new = torch.from_numpy(~seen_items(dataset, rows)[:, candidates])
    chosen = torch.from_numpy(np.searchsorted(candidates, dataset.item_indices[rows]))
    is_new = new.gather(1, chosen[:, None])[:, 0]
    columns = torch.from_numpy(candidates)
    each = {name: signal[:, columns][is_new] for name, signal in signals(rows).items()}
    fitted = fit(torch.stack(list(each.values()), dim=-1), new[is_new], chosen[is_new])
    return dict(zip(each, fitted.tolist(), strict=True))


def fit(signals: Tensor, allowed: Tensor, chosen: Tensor) -> Tensor:
    """Fits weights by penalised maximum likelihood; returns `[signals]`.

    Args:
        signals: `[examples, items, signals]`.
        allowed: `[examples, items]`, whether an item could be chosen.
        chosen: `[examples]`, the item that was chosen, which must be allowed.
    """
    weights = torch.zeros(signals.shape[-1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        scores = (signals @ weights).masked_fill(~allowed, -torch.inf)
        value = PENALTY * weights.square().sum()
        if len(chosen):
            value = value + torch.nn.functional.cross_entropy(scores, chosen)
        value.backward()  # type: ignore[no-untyped-call]  # torch's
        return value

    step: Any = optimiser.step
    with torch.enable_grad():
        step(loss)
    return weights.detach()


def minus_log_probabilities(scores: Tensor, allowed: Tensor) -> Tensor:
    """Returns `-log p` of all items, at least 0, where `p` is the softmax over allowed items.

    An item that is not allowed has the value that its score would have beside them.

    Args:
        scores: `[rows, catalog rows]`, logarithms of odds.
        allowed: `[rows, catalog rows]`; padding never is.
    """
    allowed = allowed.clone()
    allowed[:, PADDING_INDEX] = False
    normaliser = torch.logsumexp(scores.masked_fill(~allowed, -torch.inf), dim=1, keepdim=True)
    return (normaliser - scores).clamp(min=0)
