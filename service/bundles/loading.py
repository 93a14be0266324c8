"""Loads a bundle and checks its answers, so that no faulty bundle is ever served."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from export.contract.bundle import Bundle, BundleError, BundleLayout, load_bundle
from service.errors import StudentError
from service.ranking.catalog import BundleItems, Catalog
from service.ranking.item_neighbours import ItemVectors
from service.ranking.recommender import Recommender
from service.ranking.student import Student
from service.ranking.types import IndexQuery
from service.settings import DEFAULT_K

MAX_SCORE_DIFFERENCE = 1e-3  # between the two graphs, relative to the score


def load_recommender(folder: Path, max_k: int) -> Recommender:
    """Loads, verifies and warms up a bundle, so that the first request is as fast as the others.

    Raises:
        BundleError: it cannot be loaded, or breaks the contract of `export.contract.bundle`.
    """
    return make_recommender(load_bundle(folder), max_k)


def make_recommender(bundle: Bundle, max_k: int) -> Recommender:
    """Makes the recommender of a loaded bundle; a smoke check ranks up to `max_k` items.

    Raises:
        BundleError: a graph fails the smoke check.
    """
    student = Student.of_bundle(bundle)
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
    if not np.isfinite(table).all() or len(table) != len(catalog) + 1:
        raise BundleError(f"{path}: smoke check failed: its item table does not fit the catalog")
    vectors = ItemVectors(table, student.added)
    return Recommender(bundle, catalog, student, vectors)


def _warm_up_histories(bundle: Bundle, catalog: Catalog) -> Iterator[list[int]]:
    """The most popular item once and in a full window, then the bundle's real histories."""
    (most_popular,) = catalog.popular(1, np.ones(len(catalog) + 1, dtype=np.bool_))
    yield [most_popular]
    yield [most_popular] * bundle.manifest.max_history_length
    yield from filter(None, map(catalog.known_indices, bundle.histories))


def _check_ranking(student: Student, history: list[int], k: int) -> None:
    """Raises ValueError unless the ranking is full, finite and of distinct items."""
    ranking = student.rank(IndexQuery(history, k, mask_seen=False))
    num_items = len({index for index, _ in ranking})
    if num_items != k:
        raise ValueError(f"{num_items} items with a finite score, {k} were asked for")
    _check_common_case(student, IndexQuery(history, min(k, DEFAULT_K)))


def _check_common_case(student: Student, query: IndexQuery) -> None:
    """Raises ValueError unless both graphs agree; items of near-equal scores may swap places.

    The common-case graph ranks the query by itself and in a batch, as a busy worker does.
    """
    expected = dict(student.rank_fully([query])[0])
    other = replace(query, history=query.history[::-1])
    for ranking in (student.rank(query), student.rank_many([other, query])[1]):
        if len({index for index, _ in ranking}) != len(expected):
            raise ValueError(
                f"the common-case graph ranks {len(ranking)} items, the full graph {len(expected)}"
            )
        for index, score in ranking:
            of_full = expected.get(index, min(expected.values()))
            if abs(score - of_full) > MAX_SCORE_DIFFERENCE * (1 + abs(of_full)):
                raise ValueError(
                    f"the common-case graph scores item {index} {score}, the full graph {of_full}"
                )
