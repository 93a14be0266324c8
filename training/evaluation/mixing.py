"""Combines scorers: two by a weighted sum, several by their mean.

Scores of different rankers have different scales. So they are first converted to z-scores, or to
reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR 2009). For a weighted sum, validation chooses
the conversion and the weight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset
from training.evaluation.baselines.tuning import tuned
from training.evaluation.yardstick import Scorer

Scores = NDArray[np.float32]
Method = Literal["z-score", "reciprocal-rank"]
DEPTH = 200  # number of best items of a scorer that have a reciprocal rank; others have 0
SMOOTHING = 60  # added to a rank, as in the source
OPTIONS: Mapping[str, Sequence[object]] = {
    "method": ("z-score", "reciprocal-rank"),
    "weight": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}


@dataclass(frozen=True)
class FusionSettings:
    """Settings of a weighted sum of two scorers.

    Attributes:
        method: conversion that makes scores of different scales comparable, a key of `METHODS`.
        weight: weight of the second scorer, in [0, 1]; that of the first is `1 - weight`.
    """

    method: Method = "z-score"
    weight: float = 0.5


def fused(first: Scorer, second: Scorer, settings: FusionSettings) -> Scorer:
    """Returns a scorer that sums the scores of two scorers, after conversion by `settings.method`.

    The weights are `1 - settings.weight` for `first` and `settings.weight` for `second`.
    """
    comparable = METHODS[settings.method]

    def score(rows: NDArray[np.int64]) -> Scores:
        scores: Scores = (1 - settings.weight) * comparable(first(rows))
        scores += settings.weight * comparable(second(rows))
        return scores

    return score


def tuned_fusion(first: Scorer, second: Scorer, dataset: Dataset, label: str) -> FusionSettings:
    """Returns the fusion settings with the best NDCG@20 on a part of the validation examples.

    Args:
        first: scorer with the weight `1 - settings.weight`.
        second: scorer with the weight `settings.weight`.
        dataset: dataset whose validation examples are ranked.
        label: name of the work on the progress bar.
    """

    def scorer_of(settings: FusionSettings) -> Scorer:
        return fused(first, second, settings)

    return tuned(FusionSettings(), OPTIONS, scorer_of, dataset, label)


def mean_of(scorers: Sequence[Scorer]) -> Scorer:
    """Returns a scorer whose score of an item is the mean of its z-scores by several scorers."""

    def score(rows: NDArray[np.int64]) -> Scores:
        total = z_scores(scorers[0](rows))
        for each in scorers[1:]:
            total += z_scores(each(rows))
        return total / np.float32(len(scorers))

    return score


def z_scores(scores: Scores) -> Scores:
    """Standardises each row of scores to mean 0 and standard deviation 1 over its items.

    An item whose score is not finite gets the row's lowest z-score, and so does padding.

    Args:
        scores: `[rows, catalog rows]`.
    """
    known = np.isfinite(scores)
    known[:, PADDING_INDEX] = False
    values = np.where(known, scores, 0).astype(np.float64)
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    means = values.sum(axis=1, keepdims=True) / counts
    centred = np.where(known, values - means, 0)
    deviations = np.sqrt((centred**2).sum(axis=1, keepdims=True) / counts)
    result = centred / np.where(deviations > 0, deviations, 1)
    lowest = result.min(axis=1, keepdims=True)
    return np.where(known, result, lowest).astype(np.float32)


def reciprocal_ranks(scores: Scores) -> Scores:
    """Returns `1 / (SMOOTHING + rank)` of each row's best `DEPTH` items, and 0 of all others.

    Args:
        scores: `[rows, catalog rows]`.
    """
    items = scores[:, PADDING_INDEX + 1 :]
    depth = min(DEPTH, items.shape[1])
    best = np.argpartition(-items, depth - 1, axis=1)[:, :depth]
    order = np.argsort(-np.take_along_axis(items, best, axis=1), axis=1, kind="stable")
    ranked = np.take_along_axis(best, order, axis=1) + PADDING_INDEX + 1
    result = np.zeros_like(scores)
    values = (1 / (SMOOTHING + np.arange(1, depth + 1))).astype(np.float32)
    np.put_along_axis(result, ranked, np.broadcast_to(values, ranked.shape), axis=1)
    return result


METHODS: Mapping[Method, Callable[[Scores], Scores]] = {
    "z-score": z_scores,
    "reciprocal-rank": reciprocal_ranks,
}
