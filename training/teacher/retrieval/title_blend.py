"""Blending: what a matcher learned of histories, beside what titles say by themselves.

A matcher is fitted to items that people took, titles alone are as good for new ones. Both tell
distances between unit vectors, and so does their blend: between vectors laid end to end, those of
titles shortened to √share and the matcher's to √(1 - share).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.evaluation.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import SELECTION_METRIC
from training.settings.teacher import TeacherConfig
from training.teacher.budget import held_out_rows
from training.teacher.top_k import Distances, figures_of


def blended(matched: Tensor, of_titles: Tensor, share: float) -> Tensor:
    """`√(share · titles² + (1 - share) · matched²)`, in [0, 2], the shape of both."""
    return (share * of_titles.square() + (1 - share) * matched.square()).sqrt()


def with_titles(matched: Distances, neighbours: TitleNeighbours, share: float) -> Distances:
    """`matched` with a share of the distances of titles; the same as it is without one."""
    if not share:
        return matched

    def of(rows: NDArray[np.int64]) -> Tensor:
        return blended(matched(rows), torch.from_numpy(neighbours.distances_before(rows)), share)

    return of


def best_share(
    matched: Distances, neighbours: TitleNeighbours, dataset: Dataset, config: TeacherConfig
) -> float:
    """The one that ranks the validation examples best, the first of equals."""
    rows, shares = held_out_rows(dataset, config, Split.VALIDATION), config.title_shares

    def figure(share: float) -> float:
        return figures_of(with_titles(matched, neighbours, share), dataset, rows)[SELECTION_METRIC]

    return max(shares, key=figure) if len(shares) > 1 else shares[0]
