"""A bundle becomes a recommender only if it answers as a bundle must."""

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

MOST_OFF = 1e-3  # that scores of two graphs may be, as a share


def load_recommender(folder: Path, max_k: int) -> Recommender:
    """Loads, verifies and warms up; the first request finds everything ready.

    Raises:
        BundleError: it cannot be loaded, or does not keep the contract of `export.contract.bundle`.
    """
    return make_recommender(load_bundle(folder), max_k)


def make_recommender(bundle: Bundle, max_k: int) -> Recommender:
    """The recommender of a loaded bundle.

    Raises:
        BundleError: the graph fails the smoke check.
    """
    student = Student.of_bundle(bundle)
    catalog = Catalog(BundleItems(bundle.items))
    path = BundleLayout(bundle.folder).model
    try:
        table = student.table()
        for history in _warm_up_histories(bundle, catalog):
            _check_answer(student, history, min(max_k, len(catalog)))
    except StudentError as error:
        raise BundleError(f"{path}: {error}") from error
    except ValueError as error:
        raise BundleError(f"{path}: smoke check failed: {error}") from None
    if not np.isfinite(table).all() or len(table) != len(catalog) + 1:
        raise BundleError(f"{path}: smoke check failed: its item table does not fit the catalog")
    vectors = ItemVectors(table, student.added)
    return Recommender(bundle, catalog, student, vectors)


def _warm_up_histories(bundle: Bundle, catalog: Catalog) -> Iterator[list[int]]:
    """The shortest and the longest of the most popular item, then the bundle's real histories."""
    (favourite,) = catalog.popular(1, np.ones(len(catalog) + 1, dtype=np.bool_))
    yield [favourite]
    yield [favourite] * bundle.manifest.max_history_length
    yield from filter(None, map(catalog.known_indices, bundle.histories))


def _check_answer(student: Student, history: list[int], k: int) -> None:
    """Raises ValueError unless the answer is full, finite and of distinct items."""
    ranking = student.rank(IndexQuery(history, k, mask_seen=False))
    num_items = len({index for index, _ in ranking})
    if num_items != k:
        raise ValueError(f"{num_items} items with a finite score, {k} were asked for")
    _check_plain_answer(student, IndexQuery(history, min(k, DEFAULT_K)))


def _check_plain_answer(student: Student, question: IndexQuery) -> None:
    """Raises ValueError unless the two graphs agree; items of like scores may change places.

    It is asked plainly alone and beside another, as a busy worker does.
    """
    due = dict(student.rank_fully([question])[0])
    another = replace(question, history=question.history[::-1])
    for plain in (student.rank(question), student.rank_many([another, question])[1]):
        if len({index for index, _ in plain}) != len(due):
            raise ValueError(f"{len(plain)} items answer a plain question, not {len(due)}")
        for index, score in plain:
            expected = due.get(index, min(due.values()))
            if abs(score - expected) > MOST_OFF * (1 + abs(expected)):
                raise ValueError(f"item {index} scores {score} asked plainly, else {expected}")
