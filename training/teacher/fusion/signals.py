"""Signals of a fusion teacher: numbers that tell how likely an item is to be the next one.

`training.teacher.fusion.choice_model` weighs the signals. For a training example, order-aware kNN
leaves out the example's own user, and titles use no interactions. Only two counts include the
example itself: an item's popularity, and the number of sessions with the item.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.evaluation.baselines.ordered_neighbours import OrderedNeighbours
from training.evaluation.baselines.title_neighbours import TitleNeighbours

SignalName = Literal["neighbours", "matched", "titles", "popularity"]
FLOOR = 1e-5  # added to the share of an item's votes, so that the logarithm of no votes is finite


class Signals:
    """Computes the signals of all items for examples.

    - `neighbours`: logarithm of the item's share of the votes of order-aware kNN, plus `FLOOR`.
    - `matched`: 1 if the item has a vote, else 0. Its weight corrects the choice of `FLOOR`.
    - `titles`: cosine between the embeddings of the item's title and of the history's titles.
    - `popularity`: logarithm of one plus the number of the item's training interactions.

    Args:
        neighbours: order-aware kNN, fitted on the training rows of its dataset.
        titles: title distances on the same dataset; None leaves out the signal `titles`.
    """

    def __init__(self, neighbours: OrderedNeighbours, titles: TitleNeighbours | None) -> None:
        self.neighbours = neighbours
        counts = torch.from_numpy(neighbours.dataset.train_counts())
        self.popularity = torch.log1p(counts.float())
        self.of_titles: Mapping[SignalName, Callable[[NDArray[np.int64]], Tensor]] = {}
        if titles is not None:
            self.of_titles = {"titles": lambda rows: _cosines(titles, rows)}

    def __call__(self, rows: NDArray[np.int64]) -> Mapping[SignalName, Tensor]:
        """Returns each signal, `[rows, catalog rows]`, for each dataset row in `rows`."""
        votes = torch.from_numpy(self.neighbours.votes(rows))
        total = votes.sum(dim=1, keepdim=True)
        shares = votes / torch.where(total > 0, total, 1)
        return {
            "neighbours": torch.log(shares + FLOOR),
            "matched": (votes > 0).float(),
            **{name: signal(rows) for name, signal in self.of_titles.items()},
            "popularity": self.popularity.expand(len(rows), -1),
        }


def _cosines(titles: TitleNeighbours, rows: NDArray[np.int64]) -> Tensor:
    """Converts title distances, which are between unit vectors, to cosines.

    Returns `[rows, catalog rows]`.
    """
    return 1 - torch.from_numpy(titles.distances_before(rows)).square() / 2
