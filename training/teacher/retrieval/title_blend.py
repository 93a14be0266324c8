"""Title blend: a matcher's distances mixed with distances between titles.

A matcher is fitted to items that people chose; distances between titles are as good for new items.
Both are distances between unit vectors, and so is their blend: concatenate the vectors, those of
titles scaled by √share and the matcher's by √(1 - share).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import SELECTION_METRIC
from training.progress import ProgressBar
from training.settings.teacher import TeacherConfig
from training.teacher.budget import held_out_rows
from training.teacher.titles.teach import best_decay
from training.teacher.top_k import Distances, teacher_metrics


@dataclass(frozen=True)
class TitleBlend:
    """A matcher's distances blended with those between titles.

    Attributes:
        decay: of `TitleNeighbours`; 0 where titles have no share.
        share: weight of titles, in [0, 1].
        distances: the blend.
    """

    decay: float
    share: float
    distances: Distances


def choose_title_blend(
    distances: Distances,
    title_embeddings: NDArray[np.float32],
    dataset: Dataset,
    config: TeacherConfig,
) -> TitleBlend:
    """Chooses decay and share of titles on validation and blends them into `distances`.

    `title_embeddings` is `[catalog rows, size]`; row 0 is not used.
    """
    decay = 0.0
    if any(config.title_shares):
        decay = best_decay(dataset, title_embeddings, config.title_decays)
    neighbours = TitleNeighbours(dataset, title_embeddings, decay)
    share = best_share(distances, neighbours, dataset, config)
    return TitleBlend(decay, share, with_titles(distances, neighbours, share))


def blended(matcher_distances: Tensor, title_distances: Tensor, share: float) -> Tensor:
    """Returns `√(share · titles² + (1 - share) · matcher²)`, in [0, 2], the shape of both."""
    return (share * title_distances.square() + (1 - share) * matcher_distances.square()).sqrt()


def with_titles(distances: Distances, neighbours: TitleNeighbours, share: float) -> Distances:
    """Blends `distances` with a share of title distances; share 0 returns `distances` itself."""
    if not share:
        return distances

    def blended_distances(rows: NDArray[np.int64]) -> Tensor:
        title_distances = torch.from_numpy(neighbours.distances_before(rows))
        return blended(distances(rows), title_distances, share)

    return blended_distances


def best_share(
    distances: Distances, neighbours: TitleNeighbours, dataset: Dataset, config: TeacherConfig
) -> float:
    """Chooses the share of `config.title_shares` with the best validation metric; ties: first."""
    rows, shares = held_out_rows(dataset, config, Split.VALIDATION), config.title_shares
    if len(shares) == 1:
        return shares[0]
    with ProgressBar("choosing the share of titles", len(shares) * len(rows), "example") as bar:

        def metric(share: float) -> float:
            blend = with_titles(distances, neighbours, share)
            return teacher_metrics(blend, dataset, rows, bar.advance)[SELECTION_METRIC]

        return max(shares, key=metric)
