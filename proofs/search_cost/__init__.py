"""Measures an answer's search by the size of the catalog, beside usearch and faiss.

The student is the demo's, with more items (`benchmarks.subjects.large_catalog`), and answers after
real histories. Its graphs are exported as `export` does, so with the search that it chooses, and
asked through the service's own `Student`: an answer is the whole inference, with the encoding of
the history. An index of usearch or faiss is given the query vectors, and only searches. Of its
efforts, the least that finds `MIN_RECALL` of the best items is compared, or the greatest. All run
on one thread.

python -m proofs search_cost [--sizes N]... [--python PATH] [--work FOLDER] [--plot PATH]
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from proofs.record import FOLDER, Figure
from proofs.search_cost.plot import save_plot
from proofs.search_cost.rival_cost import rival_cost
from proofs.search_cost.search import OURS, Cost, our_cost
from proofs.search_cost.subject import catalog_files

SIZES = (10_000, 100_000, 1_000_000)
MIN_RECALL = 0.99
BARS = {1_000_000: (3.0, 10.0)}  # of p50 and p99, in ms
RIVALS = ("usearch HNSW", "faiss HNSW", "faiss IVF-PQ")


def prove(
    *,
    sizes: Annotated[tuple[int, ...], Parameter(help="Numbers of items.")] = SIZES,
    python: Annotated[
        Path, Parameter(help="Python of an environment with numpy, faiss-cpu and usearch.")
    ] = Path(".venv/indices/bin/python"),
    work: Annotated[Path, Parameter(help="Work folder in which `make smoke` ran.")] = Path("work"),
    plot: Annotated[Path, Parameter(help="The plot.")] = FOLDER / "search_cost.png",
) -> Iterator[Figure]:
    """Measure the search of a catalog by its size, beside usearch and faiss."""
    costs: dict[str, dict[int, Cost]] = {}
    for size in sizes:
        with catalog_files(work, size) as catalog:
            ours = our_cost(catalog)
            costs.setdefault(OURS, {})[size] = ours
            yield from _figures(size, OURS, ours)
            for rival in RIVALS:
                cost = rival_cost(python, rival, catalog.folder, MIN_RECALL)
                costs.setdefault(rival, {})[size] = cost
                yield from _figures(size, rival, cost)
    save_plot(plot, costs)


def _figures(size: int, name: str, cost: Cost) -> Iterator[Figure]:
    """Yields the figures of one search; only ours has targets."""
    p50, p99 = BARS.get(size, (None, None)) if name == OURS else (None, None)
    least = MIN_RECALL if name == OURS else None
    about = f"{size:,} items, {name}"
    low, high = np.percentile(cost.milliseconds, [50, 99])
    yield Figure(f"{about}: p50", "ms CPU", float(low), at_most=p50)
    yield Figure(f"{about}: p99", "ms CPU", float(high), at_most=p99)
    yield Figure(f"{about}: recall@20", "", cost.recall, at_least=least)
    if cost.ndcg is not None:
        yield Figure(f"{about}: NDCG@20", "", cost.ndcg, at_least=least)
    yield Figure(f"{about}: built in", "s", cost.build_seconds)
