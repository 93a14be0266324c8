"""Loads a bundle and checks its rankings, so that no faulty bundle is served."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from export.contract.bundle import Bundle, BundleError, BundleLayout, Trust, load_bundle
from service.errors import StudentError
from service.ranking.catalog import Catalog
from service.ranking.item_neighbours import ItemVectors
from service.ranking.lookup.bundle_items import BundleItems
from service.ranking.onnx_session import CPU
from service.ranking.recommender import Recommender
from service.ranking.student import Student
from service.ranking.types import IndexQuery
from service.settings import DEFAULT_K

MAX_SCORE_DIFFERENCE = 1e-3
"""Maximum difference between an item's scores by the ranking graph and the common-case graph.

It is relative to 1 + the absolute score by the ranking graph.
"""


def load_recommender(
    folder: Path, max_k: int, trust: Trust | None = None, providers: Sequence[str] = CPU
) -> Recommender:
    """Loads, checks and warms up a bundle, so that the first request is as fast as later ones.

    Args:
        folder: the bundle's folder.
        max_k: maximum number of items that the check ranks.
        trust: accepts or refuses the manifest by its signature; None: no signature is needed.
        providers: names of onnxruntime's execution providers, the preferred one first.

    Raises:
        BundleError: the bundle cannot be loaded, breaks the contract of `export.contract.bundle`,
            is not accepted by `trust`, or fails the smoke check of `make_recommender`.
    """
    return make_recommender(load_bundle(folder, trust), max_k, providers)


def make_recommender(bundle: Bundle, max_k: int, providers: Sequence[str] = CPU) -> Recommender:
    """Makes the recommender of a loaded bundle, after a smoke check of its graphs.

    The check ranks up to `max_k` items for a few histories: those of the most popular item, and
    those that the bundle holds. This also warms up the graphs. `providers`: names of onnxruntime's
    execution providers, the preferred one first.

    Raises:
        BundleError: a graph fails or ranks too few items, or the item table is not finite or does
            not fit the catalog.
    """
    student = Student.of_bundle(bundle, providers)
    catalog = Catalog(BundleItems(bundle.items))
    path = BundleLayout(bundle.folder).model
    try:
        table = student.table()
        for history in _warm_up_histories(bundle, catalog):
            _check_ranking(student, history, min(max_k, len(catalog)))
    except StudentError as error:
        raise BundleError(f"{path}: {error}") from error
    except ValueError as error:
        raise BundleError(f"{path}: smoke check failed: {error}") from None
    vectors = ItemVectors(table, student.added)
    if not vectors.are_finite_in_bundle or len(table) != len(catalog) + 1:
        raise BundleError(
            f"{path}: smoke check failed: the item table must have {len(catalog) + 1} finite rows, "
            f"it has {len(table)} rows"
        )
    return Recommender(bundle, catalog, student, vectors)


def _warm_up_histories(bundle: Bundle, catalog: Catalog) -> Iterator[list[int]]:
    """Yields histories of item indices to rank in the smoke check.

    They are the most popular item alone, a full window of this item, and the histories that the
    bundle holds.
    """
    (most_popular,) = catalog.popular(1, np.ones(len(catalog) + 1, dtype=np.bool_))
    yield [most_popular]
    yield [most_popular] * bundle.manifest.max_history_length
    read = (catalog.divided(catalog.known_indices(each))[0] for each in bundle.histories)
    yield from filter(None, read)


def _check_ranking(student: Student, history: list[int], k: int) -> None:
    """Raises ValueError unless the student ranks `k` distinct items with finite scores.

    `history`: item indices, oldest first.
    """
    ranking = student.rank(IndexQuery(history, k, mask_seen=False))
    num_items = len({index for index, _ in ranking})
    if num_items != k:
        raise ValueError(f"{num_items} items with a finite score, {k} were asked for")
    _check_common_case(student, IndexQuery(history, min(k, DEFAULT_K)))


def _check_common_case(student: Student, query: IndexQuery) -> None:
    """Raises ValueError unless the common-case graph ranks `query` as the ranking graph does.

    Items with nearly equal scores may change places (`MAX_SCORE_DIFFERENCE`). The common-case graph
    ranks the query alone and in a batch, as it does in a busy worker.
    """
    expected = dict(student.rank_by_ranking_graph([query])[0])
    other = replace(query, history=query.history[::-1])
    for ranking in (student.rank(query), student.rank_many([other, query])[1]):
        if len({index for index, _ in ranking}) != len(expected):
            raise ValueError(
                f"the common-case graph ranks {len(ranking)} items, "
                f"the ranking graph {len(expected)}"
            )
        for index, score in ranking:
            # An item that the other graph did not rank must score about as its last item does.
            expected_score = expected.get(index, min(expected.values()))
            if abs(score - expected_score) > MAX_SCORE_DIFFERENCE * (1 + abs(expected_score)):
                raise ValueError(
                    f"item {index} has the score {score} by the common-case graph, "
                    f"{expected_score} by the ranking graph"
                )
