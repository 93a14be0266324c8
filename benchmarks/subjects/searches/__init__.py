"""Measures the searches that `export` chooses for large catalogs, after real histories.

The student is the demo's trained one with more items (`benchmarks.subjects.large_catalog`). Each
size is exported as `export` does, which measures the search with proof and the searches by blocks
that it tries, and chooses one. Then a recommender is asked in item ids, as a service asks it
(`benchmarks.subjects.searches.shop`).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.options import Options
from benchmarks.results.figures import Figure
from benchmarks.subjects.large_catalog import enlarged, query_vectors
from benchmarks.subjects.searches.shop import Asked, asked, in_a_group, shop_of, with_added
from benchmarks.subjects.subject import demo_workplace
from export.contract.bundle import load_bundle
from export.graphs.query_encoder import encoder_of
from export.scorer import NUM_QUERIES, export_best_search
from service.ranking.onnx_session import GraphFile
from service.ranking.recommender import Recommender
from service.ranking.student import Student
from service.ranking.types import IndexQuery
from training.data.storage import load_dataset
from training.distillation.checkpoint import Checkpoint, load_checkpoint
from training.distillation.variants import DISTILLED
from training.progress import ProgressBar
from training.workplace import Workplace

BARS = {1_000_000: (3.0, 10.0)}  # p50 and p99 in milliseconds
MIN_RECALL = 0.99
PLAIN = "no filter"
MAX_RATIO = 3.0  # of the CPU time of any other query to that of a plain one
K, NUM_TIMED, NUM_ADDED = 20, 100, 500
NUMS_EXCLUDED = (200, 300, 1_000)  # of a query: within those that are trusted, and beyond
ROUNDING = 1e-5  # relative, between scores of torch and of onnxruntime
SEED = 0


Queries = Sequence[IndexQuery]


@dataclass(frozen=True)
class Measured:
    """The figures of the search that `export` chose, of all kinds of queries.

    Attributes:
        scorer: the field `scorer` of a manifest.
        costs: median CPU milliseconds of an answer in item ids, by the kind of a query.
        recalls: share of the best `K` items that an answer may have which it has, mean of the
            queries, by their kind.
    """

    scorer: Mapping[str, Any]
    costs: Mapping[str, float]
    recalls: Mapping[str, float]


def search_figures(options: Options, sizes: Sequence[int]) -> Iterator[Figure]:
    """Exports the demo's student with `sizes` items; yields the figures of the searches chosen.

    Raises:
        BenchmarkError: there is no demo bundle, or a size is too small for a choice.
    """
    with ProgressBar("catalogs of the demo's student", len(sizes), "catalog") as bar:
        for size in sizes:
            yield from _figures(size, _measured(demo_workplace(options), size))
            bar.advance()


def _measured(workplace: Workplace, num_items: int) -> Measured:
    catalog = enlarged(_checkpoint(workplace), load_dataset(workplace.dataset), num_items)
    histories = [np.array(each) for each in catalog.histories[:NUM_QUERIES]]
    longest = catalog.student.max_history_length
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        scorer = export_best_search(encoder_of(catalog.student), path, histories)
        if scorer is None:
            raise BenchmarkError(f"{num_items:,} items are too few for a choice of the search")
        student = Student(GraphFile.read(path), num_items=num_items, max_history_length=longest)
        shop = shop_of(student, num_items, load_bundle(workplace.bundle), Path(folder))
    # Histories that fill the window: what is seen before them changes no query vector.
    timed = [each for each in catalog.histories if len(each) >= longest][:NUM_TIMED]
    queries = [IndexQuery(each, K) for each in timed]
    vectors = query_vectors(catalog.student, timed)
    best = [
        _best(student.table() @ vector, each) for vector, each in zip(vectors, queries, strict=True)
    ]
    kinds, recalls = _kinds(shop, queries, best), {}
    costs, rankings = _answers(kinds)
    for name, each in kinds.items():
        table = np.concatenate([student.table(), each.recommender.student.added])
        recalls[name] = _recall(table, vectors, each.index_queries, rankings[name])
    return Measured(scorer, costs, recalls)


def _best(scores: NDArray[np.float32], query: IndexQuery) -> list[int]:
    """Returns the best items of a query, best first; as many as are excluded at most.

    They are those of all scores, not those that a search finds: what it misses would be left to be
    found, time and again. `scores` are of all items, `[items + 1]`, and are changed.
    """
    scores[[0, *query.history]] = -np.inf
    number = max(NUMS_EXCLUDED)
    found = np.argpartition(-scores, number)[:number]
    best: list[int] = found[np.argsort(-scores[found])].tolist()
    return best


def _kinds(
    shop: Recommender, queries: Queries, best: Sequence[Sequence[int]]
) -> Mapping[str, Asked]:
    """Returns the queries of each kind, with the recommender that answers them, by the kind's name.

    `best`: the best items of each query.
    """
    generator, num_items = np.random.default_rng(SEED), len(shop.catalog)
    others = [generator.integers(1, num_items + 1, max(NUMS_EXCLUDED)).tolist() for _ in queries]
    added = with_added(shop, shop.student.table()[1 : NUM_ADDED + 1])
    excluding = {
        f"the {number:,} best excluded": asked(shop, _without(queries, best, number))
        for number in NUMS_EXCLUDED
    }
    return {
        PLAIN: asked(shop, queries),
        "a filter that leaves 0.1 %": in_a_group(shop, queries),
        **excluding,
        f"the {max(NUMS_EXCLUDED):,} best seen": asked(shop, _having_seen(queries, best)),
        f"{len(others[0]):,} items at random excluded": asked(
            shop, _without(queries, others, len(others[0]))
        ),
        f"{NUM_ADDED} added items": asked(added, queries),
    }


def _without(queries: Queries, items: Sequence[Sequence[int]], number: int) -> Queries:
    """Returns the queries with so many of their `items` excluded."""
    pairs = zip(queries, items, strict=True)
    return [replace(query, excluded=each[:number]) for query, each in pairs]


def _having_seen(queries: Queries, items: Sequence[Sequence[int]]) -> Queries:
    """Returns the queries of users who have seen `items` before the items of their histories."""
    pairs = zip(queries, items, strict=True)
    return [replace(query, history=[*each, *query.history]) for query, each in pairs]


def _answers(
    kinds: Mapping[str, Asked],
) -> tuple[Mapping[str, float], Mapping[str, list[list[int]]]]:
    """Returns median CPU milliseconds of an answer, and the item indices of all, by kind.

    The kinds take turns, because a machine's speed changes from second to second.
    """
    times: dict[str, list[float]] = {name: [] for name in kinds}
    rankings: dict[str, list[list[int]]] = {name: [] for name in kinds}
    num_queries = min(len(each.queries) for each in kinds.values())
    for place in range(-1, num_queries):  # the first round is not counted
        for name, kind in kinds.items():
            began = time.thread_time()
            answer = kind.recommender.recommend(kind.queries[max(place, 0)])
            milliseconds = 1_000 * (time.thread_time() - began)
            if len(answer.ranking) < K or answer.source != "student":
                raise BenchmarkError(f"{len(answer.ranking)} items were ranked, not {K}")
            if place >= 0:
                times[name].append(milliseconds)
                known = kind.recommender.catalog.known_indices(answer.item_ids)
                rankings[name].append(known)
    return {name: median(each) for name, each in times.items()}, rankings


def _recall(
    table: NDArray[np.float32],
    vectors: NDArray[np.float32],
    queries: Queries,
    rankings: Sequence[Sequence[int]],
) -> float:
    """Returns the share of the `K` best open items that the rankings have, by scoring all items.

    Raises:
        BenchmarkError: a ranking has an item that its query closes.
    """
    shares = []
    for vector, query, items in zip(vectors, queries, rankings, strict=True):
        scores = table @ vector
        scores[[0, *query.history, *query.closed]] = -np.inf
        if query.allowed is not None:
            scores[~query.allowed] = -np.inf
        if not np.isfinite(scores[items]).all():
            raise BenchmarkError("an item was ranked that the query closes")
        least = np.partition(scores, -K)[-K]
        shares.append(np.mean(scores[items] >= least - ROUNDING * abs(least)))
    return float(np.mean(shares))


def _checkpoint(workplace: Workplace) -> Checkpoint:
    """Returns the distilled student of the first seed."""
    return load_checkpoint(workplace.checkpoints / f"{DISTILLED}-0")


def _figures(size: int, measured: Measured) -> Iterator[Figure]:
    scorer, costs = measured.scorer, measured.costs
    p50, p99 = BARS.get(size, (None, None))
    runs: Sequence[tuple[str, float, str, float | None]] = (
        ("p50", scorer["p50_ms"], "ms CPU", p50),
        ("p99", scorer["p99_ms"], "ms CPU", p99),
    )
    for name, value, unit, at_most in runs:
        yield Figure(
            name=f"{name} of an answer from {size:,} items",
            unit=unit,
            runs=(value,),
            at_most=at_most,
        )
    for name in ("recall_at_20", "recall_at_20_filtered"):
        yield Figure(
            name=f"{name} from {size:,} items", unit="", runs=(scorer[name],), at_least=MIN_RECALL
        )
    for kind, recall in measured.recalls.items():
        name = f"recall@{K} of {kind}, {size:,} items"
        yield Figure(name=name, unit="", runs=(recall,), at_least=MIN_RECALL)
    for kind in [each for each in costs if each != PLAIN]:
        ratio = costs[kind] / costs[PLAIN]
        name = f"{kind} over none, {size:,} items"
        yield Figure(name=name, unit="times", runs=(ratio,), at_most=MAX_RATIO)
