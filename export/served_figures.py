"""Ranks with the service's own code, so that a bundle's metrics are those of served answers.

The same code, `service.ranking.student`, chooses between the common-case graph and the ranking
graph for requests and for measurements. No other module of `export` imports the service.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Bundle, Item
from service.ranking.catalog import Catalog
from service.ranking.lookup.bundle_items import BundleItems
from service.ranking.onnx_session import GraphFile
from service.ranking.student import Student
from service.ranking.types import IndexQuery
from service.ranking.types import Ranking as Ranking
from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset
from training.evaluation.yardstick import LIST_LENGTH, Ranker


def served_ranker(
    model: Path,
    common_case: Path | None,
    dataset: Dataset,
    max_history_length: int,
    items: Sequence[Item],
) -> Ranker:
    """Opens exported graphs and returns a ranker that ranks with the service's code.

    The ranker takes example rows of `dataset` and returns `[rows, LIST_LENGTH]`, item indices of
    unseen items, best first. If the student reads no item of a history, the ranker returns the most
    popular items.

    Args:
        model: file of the ranking graph.
        common_case: file of the common-case graph; None if the bundle has none.
        dataset: the dataset whose examples are ranked.
        max_history_length: number of newest items of a history that the student reads.
        items: the items of the bundle, in the order of their item indices from 1.

    Raises:
        BundleError: onnxruntime cannot open a graph, or a graph lacks an input or output.
    """
    student = Student(
        GraphFile.read(model),
        GraphFile.read(common_case) if common_case else None,
        num_items=dataset.catalog.num_items,
        max_history_length=max_history_length,
    )
    best = _best_of(student, Catalog(BundleItems(items)))

    def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
        rankings = np.full((len(rows), LIST_LENGTH), PADDING_INDEX)
        for line, row in zip(rankings, rows, strict=True):
            ranked = best(dataset.history(int(row)).tolist())
            line[: len(ranked)] = ranked
        return rankings

    return rank


def bundle_ranker(bundle: Bundle, dataset: Dataset) -> Ranker:
    """Returns a ranker that uses a bundle of another dataset to rank after histories of `dataset`.

    The ranker takes example rows of `dataset` and returns `[rows, LIST_LENGTH]`, item indices of
    `dataset`, best first. It uses the service's code. Items are matched by id. Items of a history
    that the bundle lacks are left out. A recommended item that `dataset` lacks becomes padding.

    Raises:
        BundleError: a graph has changed on disk since the bundle was loaded, or onnxruntime cannot
            open it.
    """
    best = _best_of(Student.of_bundle(bundle), Catalog(BundleItems(bundle.items)))
    index_in_bundle = {item.item_id: index for index, item in enumerate(bundle.items, start=1)}
    to_bundle = [0, *(index_in_bundle.get(each, 0) for each in dataset.catalog.item_ids)]
    index_by_id = dataset.catalog.index_by_id
    to_dataset = [0, *(index_by_id.get(item.item_id, 0) for item in bundle.items)]

    def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
        rankings = np.full((len(rows), LIST_LENGTH), PADDING_INDEX)
        for line, row in zip(rankings, rows, strict=True):
            known = (to_bundle[item] for item in dataset.history(int(row)))
            ranked = best([item for item in known if item != PADDING_INDEX])
            line[: len(ranked)] = [to_dataset[item] for item in ranked]
        return rankings

    return rank


def _best_of(student: Student, catalog: Catalog) -> Callable[[list[int]], list[int]]:
    """Returns a function that maps a history to its best unseen items, at most `LIST_LENGTH`.

    The function takes and returns item indices; its result is ordered best first. If the student
    reads no item of the history, it returns the most popular items.
    """

    def best(history: list[int]) -> list[int]:
        read, unread = catalog.divided(history)
        if read:
            query = IndexQuery(read, LIST_LENGTH, unread=unread)
            return [item_index for item_index, _ in student.rank(query)]
        unseen = student.all_allowed.copy()
        unseen[history] = False
        return list(catalog.popular(LIST_LENGTH, unseen))

    return best


def all_rankings(bundle: Bundle) -> Callable[[list[int], int], list[Ranking]]:
    """Opens a bundle's student and returns a function that ranks a history in two ways.

    The function takes a history of item indices and `k`. It returns two rankings of at most `k`
    unseen items: one as for a request, and one with the ranking graph only.

    Raises:
        BundleError: a graph has changed on disk since the bundle was loaded, or onnxruntime cannot
            open it.
    """
    student = Student.of_bundle(bundle)

    def rank(history: list[int], k: int) -> list[Ranking]:
        query = IndexQuery(history, k)
        return [student.rank(query), *student.rank_by_ranking_graph([query])]

    return rank
