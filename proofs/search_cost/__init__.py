"""Measures an answer's search by the size of the catalog, beside usearch and faiss.

The student is the demo's, with more items (`benchmarks.subjects.large_catalog`), and answers after
real histories. Its bundle is exported as `export` does, so with the search that it chooses, and
asked through the service's own code in a process of its own: an answer is the whole inference, with
the encoding of the history. With `--trained` a student is measured, too, that was trained with all
its items (`python -m proofs epoch --keep FOLDER`). An index of usearch or faiss is given the query
vectors, and only searches. Of its efforts, the least that finds `MIN_RECALL` of the best items is
compared, or the greatest. All answers run on one thread. Bundles and indices are kept in the folder
CACHE, and built only where they are not there; `--build-only` ends before the measurements.

python -m proofs search_cost [--sizes N]... [--python PATH] [--work FOLDER] [--cache FOLDER]
    [--trained EXPERIMENT] [--build-only] [--plot PATH]
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from proofs.record import FOLDER, Figure
from proofs.search_cost.files import CatalogFiles
from proofs.search_cost.plot import save_plot
from proofs.search_cost.rival_cost import build_rival, rival_cost
from proofs.search_cost.search import OURS, Cost, build_ours, our_cost
from proofs.search_cost.subject import make_files, num_trained

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
MIN_RECALL = 0.99
TARGETS: Mapping[int, Mapping[str, float]] = MappingProxyType(
    {
        1_000_000: {"p50": 3.0, "p99": 10.0},  # milliseconds
        10_000_000: {
            "p50": 15.0,
            "resident": 4_096.0,  # MiB
            "of it anonymous": 1_024.0,
            "most resident while it answers": 4_096.0,
            "built in": 1_800.0,  # seconds
        },
    }
)
HNSW, IVF = ("usearch HNSW", "faiss HNSW"), "faiss IVF-PQ"
MOST_OF_HNSW = 1_000_000  # items; more would take hours to build


def prove(
    *,
    sizes: Annotated[tuple[int, ...], Parameter(help="Numbers of items.")] = SIZES,
    python: Annotated[
        Path, Parameter(help="Python of an environment with numpy, faiss-cpu and usearch.")
    ] = Path(".venv/indices/bin/python"),
    work: Annotated[Path, Parameter(help="Work folder in which `make smoke` ran.")] = Path("work"),
    cache: Annotated[Path, Parameter(help="Folder of bundles and indices.")] = Path(
        "work/search_cost"
    ),
    trained: Annotated[
        Path | None, Parameter(help="Folder of an experiment with a million items.")
    ] = None,
    build_only: Annotated[bool, Parameter(help="Build bundles and indices only.")] = False,
    plot: Annotated[Path, Parameter(help="The plot.")] = FOLDER / "search_cost.png",
) -> Iterator[Figure]:
    """Measure the search of a catalog by its size, beside usearch and faiss."""
    costs: dict[str, dict[int, Cost]] = {}
    demo = work / "movielens"
    for size in sizes:
        files = make_files(demo, size, cache / str(size))
        _build(files, size, demo, python)
        if build_only:
            continue
        for name in searches_of(size):
            is_ours = name == OURS
            cost = (
                our_cost(files) if is_ours else rival_cost(python, name, files.folder, MIN_RECALL)
            )
            costs.setdefault(name, {})[size] = cost
            targets = TARGETS.get(size, {}) if is_ours else {}
            least = MIN_RECALL if is_ours else None
            yield from _figures(f"{size:,} items, {name}", cost, targets, least)
    if trained:
        yield from _of_its_own(trained, cache / "trained", build_only=build_only)
    if not build_only:
        save_plot(plot, costs)


def _of_its_own(experiment: Path, folder: Path, *, build_only: bool) -> Iterator[Figure]:
    """Yields the figures of the student of an experiment, with its own items and histories."""
    size = num_trained(experiment)
    files = make_files(experiment, size, folder)
    build_ours(files, experiment)
    if not build_only:
        about = f"{size:,} items as trained, {OURS}"
        yield from _figures(about, our_cost(files), TARGETS[1_000_000], MIN_RECALL)


def searches_of(size: int) -> Sequence[str]:
    """Returns the names of the searches that are measured with `size` items, ours first."""
    return (OURS, *(HNSW if size <= MOST_OF_HNSW else ()), IVF)


def _build(files: CatalogFiles, size: int, experiment: Path, python: Path) -> None:
    build_ours(files, experiment)
    for rival in searches_of(size)[1:]:
        build_rival(python, rival, files.folder)


def _figures(
    about: str, cost: Cost, targets: Mapping[str, float], least: float | None
) -> Iterator[Figure]:
    """Yields the figures of one search; `least`: target of its quality."""
    low, high = np.percentile(cost.milliseconds, [50, 99])
    values = {"p50": ("ms CPU", float(low)), "p99": ("ms CPU", float(high))}
    values |= {"built in": ("s CPU", cost.build_seconds)}
    values |= {what: ("MiB", value) for what, value in cost.memory.items()}
    for what, (unit, value) in values.items():
        yield Figure(f"{about}: {what}", unit, value, at_most=targets.get(what))
    yield Figure(f"{about}: recall@20", "", cost.recall, at_least=least)
    if cost.ndcg is not None:
        yield Figure(f"{about}: NDCG@20", "", cost.ndcg, at_least=least)
