"""Choice model: sums weighted signals to a score per item, whose softmax is a probability.

The probability is that of the item to be the next one. The model is the conditional logit of
McFadden (1974). Its few weights are fitted to validation examples. So its probabilities are
calibrated, and the softmax needs no temperature.
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
    """Sums each item's signals, times their weights, to its score; returns `[rows, catalog rows]`.

    The score is the logarithm of the item's odds, up to a constant per row. Each signal has the
    shape of the result. Signals without a weight are not used.
    """
    first, *others = weights
    total = signals[first] * weights[first]
    for name in others:
        total.add_(signals[name], alpha=weights[name])
    return total


def fit_on_validation(signals: Signals, dataset: Dataset) -> Weights:
    """Fits the weights to validation examples whose next item is warm and new to the user.

    The candidates of an example are all warm items that are new to its user.

    Args:
        signals: computes the signals of the examples of `dataset`.
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
    """Fits a weight for each signal by penalised maximum likelihood; returns `[signals]`.

    Args:
        signals: `[examples, items, signals]`.
        allowed: `[examples, items]`, whether an item could be chosen.
        chosen: `[examples]`, index on the axis `items` of the item that was chosen, which must be
            allowed. Without examples, all weights are 0.
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
    """Returns `-log p` of all items, `[rows, catalog rows]`; `p` is the softmax of allowed items.

    For an item that is not allowed, `-log p` is computed from its score with the same denominator.
    A negative result is raised to 0.

    Args:
        scores: `[rows, catalog rows]`, the scores from `odds`.
        allowed: `[rows, catalog rows]`, whether each item is allowed; padding is never allowed.
    """
    allowed = allowed.clone()
    allowed[:, PADDING_INDEX] = False
    normaliser = torch.logsumexp(scores.masked_fill(~allowed, -torch.inf), dim=1, keepdim=True)
    return (normaliser - scores).clamp(min=0)
