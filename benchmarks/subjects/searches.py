"""Measures the searches that `export` chooses for large catalogs, after real histories.

The student is the demo's trained one with more items (`benchmarks.subjects.large_catalog`). Each
size is exported as `export` does, which measures the search with proof and the searches by blocks
that it tries, and chooses one.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.options import Options
from benchmarks.results.figures import Figure
from benchmarks.subjects.large_catalog import enlarged
from benchmarks.subjects.subject import demo_workplace
from export.graphs.query_encoder import encoder_of
from export.scorer import NUM_QUERIES, export_best_search
from service.ranking.onnx_session import GraphFile
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
EXCLUDED, BEYOND = "the 200 best excluded", "the 300 best excluded"
MAX_RATIO = 3.0  # of the CPU time of any other query to that of a plain one
K, NUM_TIMED, NUM_ADDED = 20, 100, 500
NUM_EXCLUDED, NUM_BEYOND = 200, 300  # of a query: within those that are trusted, and beyond
FILTERED_SHARE = 0.001
SEED = 0


@dataclass(frozen=True)
class Measured:
    """The field `scorer` of a manifest, and median CPU milliseconds by the kind of a query."""

    scorer: Mapping[str, Any]
    costs: Mapping[str, float]


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
    queries = [IndexQuery(each, K) for each in catalog.histories[:NUM_TIMED]]
    return Measured(scorer, _costs(student, queries, num_items))


def _costs(student: Student, queries: Sequence[IndexQuery], num_items: int) -> Mapping[str, float]:
    """Returns the median CPU time in milliseconds of each kind of query, by its name."""
    generator = np.random.default_rng(SEED)
    mask = generator.random(num_items + 1) < FILTERED_SHARE
    best = [[item for item, _ in student.rank(replace(each, k=NUM_BEYOND))] for each in queries]
    added = student.with_added(student.table()[1 : NUM_ADDED + 1])
    kinds = {
        PLAIN: (student, queries),
        "a filter that leaves 0.1 %": (student, [replace(each, allowed=mask) for each in queries]),
        EXCLUDED: (student, _without(queries, best, NUM_EXCLUDED)),
        BEYOND: (student, _without(queries, best, NUM_BEYOND)),
        "500 added items": (added, queries),
    }
    return {name: _median_ms(*asked) for name, asked in kinds.items()}


def _without(
    queries: Sequence[IndexQuery], best: Sequence[Sequence[int]], number: int
) -> Sequence[IndexQuery]:
    """Returns the queries with so many of their best items excluded."""
    pairs = zip(queries, best, strict=True)
    return [replace(query, excluded=items[:number]) for query, items in pairs]


def _median_ms(student: Student, queries: Sequence[IndexQuery]) -> float:
    student.rank(queries[0])
    times = []
    for query in queries:
        began = time.thread_time()
        num_ranked = len(student.rank(query))
        times.append(1_000 * (time.thread_time() - began))
        if num_ranked < K:
            raise BenchmarkError(f"{num_ranked} items were ranked, {K} were asked for")
    return median(times)


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
    for kind in [each for each in costs if each != PLAIN]:
        ratio = costs[kind] / costs[PLAIN]
        name = f"{kind} over none, {size:,} items"
        yield Figure(name=name, unit="times", runs=(ratio,), at_most=MAX_RATIO)
