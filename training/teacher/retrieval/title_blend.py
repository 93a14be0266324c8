"""Title blend: a matcher's distances combined with distances between titles.

A matcher is fitted to items that users chose, so it ranks new items less well. Distances between
titles are as good for new items as for old ones. Both kinds are distances between unit vectors. The
blend is the distance between concatenations of a title vector, scaled by √share, and a matcher's
vector, scaled by √(1 - share).
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
    """A matcher's distances blended with distances between titles.

    Attributes:
        decay: weight of each title of a history, divided by the weight of the title after it; 0 if
            only the last title counts, or if no blend was tried.
        share: weight of the squared title distance in the blend, in [0, 1].
        distances: function that computes the blended distances.
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
    """Chooses decay and share of the blend by NDCG@20 on validation examples; returns the blend.

    The decay is chosen first, for title distances alone.

    Args:
        distances: the matcher's distances.
        title_embeddings: `[catalog rows, size]`; row 0 is not used.
        dataset: the dataset, with histories and validation examples.
        config: settings of the teacher, with the decays and shares to try.
    """
    decay = 0.0
    if any(config.title_shares):
        decay = best_decay(dataset, title_embeddings, config.title_decays)
    neighbours = TitleNeighbours(dataset, title_embeddings, decay)
    share = best_share(distances, neighbours, dataset, config)
    return TitleBlend(decay, share, with_titles(distances, neighbours, share))


def blended(matcher_distances: Tensor, title_distances: Tensor, share: float) -> Tensor:
    """Blends two tensors of distances to `√(share · t² + (1 - share) · m²)`.

    Here `t` is `title_distances` and `m` is `matcher_distances`. Both and the result have the same
    shape, and all distances are in [0, 2].
    """
    return (share * title_distances.square() + (1 - share) * matcher_distances.square()).sqrt()


def with_titles(distances: Distances, neighbours: TitleNeighbours, share: float) -> Distances:
    """Returns a function that computes `distances` and blends them with title distances.

    `neighbours` computes the title distances, and `share` is their weight in `blended`, in [0, 1].
    If it is 0, `distances` itself is returned.
    """
    if not share:
        return distances

    def blended_distances(rows: NDArray[np.int64]) -> Tensor:
        title_distances = torch.from_numpy(neighbours.distances_before(rows))
        return blended(distances(rows), title_distances, share)

    return blended_distances


def best_share(
    distances: Distances, neighbours: TitleNeighbours, dataset: Dataset, config: TeacherConfig
) -> float:
    """Chooses the weight of title distances with which the blend ranks best.

    The matcher's `distances` are blended with the title distances of `neighbours`. The weights to
    try are `config.title_shares`. They are compared by NDCG@20 on validation examples. A tie goes
    to the first weight.
    """
    rows, shares = held_out_rows(dataset, config, Split.VALIDATION), config.title_shares
    if len(shares) == 1:
        return shares[0]
    with ProgressBar("choosing the share of titles", len(shares) * len(rows), "example") as bar:

        def metric(share: float) -> float:
            blend = with_titles(distances, neighbours, share)
            return teacher_metrics(blend, dataset, rows, bar.advance)[SELECTION_METRIC]

        return max(shares, key=metric)
