"""Ranks as the service would, so that what is measured or compared is what is served.

The one module of `export` that imports the service: requests and a manifest's figures share the
routing between the common-case graph and the ranking graph (`service.ranking.student`).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Bundle
from service.ranking.onnx_session import GraphFile
from service.ranking.student import Student
from service.ranking.types import IndexQuery
from service.ranking.types import Ranking as Ranking
from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset
from training.evaluation.yardstick import LIST_LENGTH, Ranker


def served_ranker(
    model: Path, common_case: Path | None, dataset: Dataset, max_history_length: int
) -> Ranker:
    """Makes the ranker of these graphs for the yardstick; it reads whole histories.

    Args:
        model: the ranking graph.
        common_case: the common-case graph; None if the bundle will have none.
        dataset: the examples' histories come from it.
        max_history_length: number of newest items that the student reads.

    Raises:
        BundleError: onnxruntime cannot open a graph, or it lacks an input or output.
    """
    student = Student(
        GraphFile.read(model),
        GraphFile.read(common_case) if common_case else None,
        num_items=dataset.catalog.num_items,
        max_history_length=max_history_length,
    )

    def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
        rankings = np.full((len(rows), LIST_LENGTH), PADDING_INDEX)
        for line, row in zip(rankings, rows, strict=True):
            best = student.rank(IndexQuery(dataset.history(int(row)).tolist(), LIST_LENGTH))
            line[: len(best)] = [item_index for item_index, _ in best]
        return rankings

    return rank


def all_rankings(bundle: Bundle) -> Callable[[list[int], int], list[Ranking]]:
    """Opens a bundle's student; returns its rankings after a history, of `k` items at most.

    The first is the one that a request gets, the second that of the ranking graph.

    Raises:
        BundleError: a graph changed on disk, or onnxruntime cannot open it.
    """
    student = Student.of_bundle(bundle)

    def rank(history: list[int], k: int) -> list[Ranking]:
        query = IndexQuery(history, k)
        return [student.rank(query), *student.rank_by_ranking_graph([query])]

    return rank
