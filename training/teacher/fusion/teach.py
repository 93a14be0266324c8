"""The fusion teacher: order-aware kNN, titles and popularity, weighed by a choice model.

The teacher's distances are negative log probabilities, so a student can learn its distributions
(`distillation.list_loss = "distribution"`). To answer a training example, kNN leaves out the
example's own user. So the only data from this example that the answer uses are counts of items.

The teacher `fusion-without-titles` is the control: it lacks the signal of the LLM's titles.
Students of both teachers get the same title embeddings.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import REFITS, Dataset, Split
from training.evaluation.baselines.ordered_neighbours import (
    OrderedNeighbours,
    OrderedSettings,
    tuned_ordered_neighbours,
)
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import LIST_LENGTH, seen_items
from training.knowledge import Answers, Knowledge
from training.settings.teacher import TeacherConfig
from training.teacher.budget import answered_rows
from training.teacher.fusion.choice_model import (
    Weights,
    fit_on_validation,
    minus_log_probabilities,
    odds,
)
from training.teacher.fusion.signals import Signals
from training.teacher.llm.shards import Cost
from training.teacher.titles.teach import best_decay
from training.teacher.top_k import Distances, answer


@dataclass(frozen=True)
class Fusion:
    """A fusion teacher with the settings that validation chose.

    Attributes:
        embeddings: `[catalog rows, size]`, the embeddings of the titles.
        neighbours: settings of order-aware kNN.
        decay: weight of a title relative to the next newer one; None without titles.
        weights: weight of each signal.
    """

    embeddings: NDArray[np.float32]
    neighbours: OrderedSettings
    decay: float | None
    weights: Weights

    def distances(self, view: Dataset, *, only_trained: bool) -> Distances:
        """Returns a function from dataset rows to `-log p` of all items.

        Args:
            view: the dataset, or a view of it for a refit; kNN and counts use its training rows.
            only_trained: whether `p` is a distribution over warm items only, from which students
                learn. The distances of all other items are then infinite.
        """
        signals = Signals(
            OrderedNeighbours(view, self.neighbours), titles_of(view, self.embeddings, self.decay)
        )
        known = torch.from_numpy(view.warm_items() | (not only_trained))

        def distances_of(rows: NDArray[np.int64]) -> Tensor:
            scores = odds(signals(rows), self.weights)
            new = torch.from_numpy(~seen_items(view, rows))
            return minus_log_probabilities(scores, new & known).masked_fill(~known, torch.inf)

        return distances_of


def teach_fusion(
    dataset: Dataset, config: TeacherConfig, embeddings: NDArray[np.float32], cost: Cost
) -> Knowledge:
    """Makes the knowledge of a fusion teacher, including its answers for refits.

    Args:
        dataset: histories and titles.
        config: settings of the teacher.
        embeddings: `[catalog rows, size]`, the embeddings of the titles.
        cost: tokens and seconds of computing `embeddings`.
    """
    began = time.monotonic()
    fusion = choose_fusion(dataset, config, embeddings)
    chosen = time.monotonic()
    held_out = fusion.distances(dataset, only_trained=False)
    validation, test = (
        answer(held_out, dataset, _answered(dataset, config, split), LIST_LENGTH)
        for split in (Split.VALIDATION, Split.TEST)
    )
    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=lists_of(fusion, dataset, config),
        validation=validation,
        test=test,
        item_embeddings=embeddings,
        refits={name: lists_of(fusion, dataset.under(name), config) for name in REFITS},
        provenance={
            "costs": {
                "titles": asdict(cost),
                "choosing": asdict(Cost(0, chosen - began)),
                "answering": asdict(Cost(0, time.monotonic() - chosen)),
            },
            **_described(fusion),
            "weights": None,
        },
    )


def choose_fusion(
    dataset: Dataset, config: TeacherConfig, embeddings: NDArray[np.float32]
) -> Fusion:
    """Chooses the settings and weights of a fusion teacher on validation examples.

    `embeddings` is `[catalog rows, size]`, the embeddings of the titles. The decay is chosen only
    if `config.kind` is "fusion"; `fusion-without-titles` has none.
    """
    neighbours = tuned_ordered_neighbours(dataset)
    decay = None
    if config.kind == "fusion":
        decay = best_decay(dataset, embeddings, config.title_decays)
    signals = Signals(neighbours, titles_of(dataset, embeddings, decay))
    weights = fit_on_validation(signals, dataset)
    return Fusion(embeddings, neighbours.settings, decay, weights)


def titles_of(
    view: Dataset, embeddings: NDArray[np.float32], decay: float | None
) -> TitleNeighbours | None:
    """Makes the object that computes title distances for the rows of `view`; None without a decay.

    `embeddings` is `[catalog rows, size]`. `decay` is the weight of a title of a history, divided
    by the weight of the next newer one.
    """
    return None if decay is None else TitleNeighbours(view, embeddings, decay)


def lists_of(fusion: Fusion, view: Dataset, config: TeacherConfig) -> Answers:
    """Makes ranking lists of warm items for the training examples of `view` within the budget."""
    rows = _answered(view, config, Split.TRAIN)
    return answer(fusion.distances(view, only_trained=True), view, rows, config.list_length)


def _answered(view: Dataset, config: TeacherConfig, split: Split) -> NDArray[np.int64]:
    answered = answered_rows(view, config, count_tokens=lambda _: 0)
    return np.intersect1d(answered, view.example_rows(split))


def _described(fusion: Fusion) -> Mapping[str, Any]:
    return {
        "neighbours": asdict(fusion.neighbours),
        "decay": fusion.decay,
        "signal_weights": dict(fusion.weights),
    }
