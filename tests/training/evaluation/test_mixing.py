"""Fusion of two scorers, by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.evaluation import mixing
from training.evaluation.mixing import (
    FusionSettings,
    fused,
    mean_of,
    reciprocal_ranks,
    tuned_fusion,
    z_scores,
)
from training.evaluation.yardstick import Scorer

ROWS = np.array([0])


def constant(*scores: float) -> Scorer:
    """A scorer of the same scores for every row; padding comes first."""

    def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.tile(np.array(scores, dtype=np.float32), (len(rows), 1))

    return score


def test_z_scores_leave_out_padding_and_what_is_not_finite() -> None:
    # 1, 3 and 5 have mean 3 and deviation sqrt(8 / 3); -inf and padding are put lowest.
    found = z_scores(constant(99, 1, 3, 5, -np.inf)(ROWS))

    step = 2 / np.sqrt(8 / 3)
    assert found[0].tolist() == pytest.approx([-step, -step, 0, step, -step])


def test_equal_scores_have_a_z_score_of_zero() -> None:
    assert z_scores(constant(0, 7, 7)(ROWS)).tolist() == [[0, 0, 0]]


def test_the_best_items_have_reciprocal_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "DEPTH", 2)

    found = reciprocal_ranks(constant(99, 1, 3, 5)(ROWS))

    assert found[0].tolist() == pytest.approx([0, 0, 1 / 62, 1 / 61])


def test_a_fusion_weighs_the_second_scorer() -> None:
    first, second = constant(0, 1, 0), constant(0, 0, 1)  # z-scores 1 and -1, -1 and 1

    found = fused(first, second, FusionSettings("z-score", 0.25))(ROWS)

    assert found[0, 1:].tolist() == pytest.approx([0.75 - 0.25, -0.75 + 0.25])


def test_scorers_are_averaged_by_their_z_scores() -> None:
    """The scale of a scorer does not count."""
    found = mean_of([constant(0, 100, 0), constant(0, 0, 1), constant(0, 1, 0)])(ROWS)

    assert found[0, 1:].tolist() == pytest.approx([1 / 3, -1 / 3])


def test_validation_chooses_the_weight_and_the_method(chain_dataset: Dataset) -> None:
    """On the ring the next item is one ahead; a scorer of no use gets no weight."""

    def ahead(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        scores = np.zeros((len(rows), 13), dtype=np.float32)
        scores[np.arange(len(rows)), chain_dataset.item_indices[rows - 1] % 12 + 1] = 1
        return scores

    def wrong(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.roll(ahead(rows)[:, 1:], 4, axis=1) @ np.eye(12, 13, 1, dtype=np.float32) * 9

    assert tuned_fusion(ahead, wrong, chain_dataset, "fusing").weight < 0.5
    assert tuned_fusion(wrong, ahead, chain_dataset, "fusing").weight > 0.5
