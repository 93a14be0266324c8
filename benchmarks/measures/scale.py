"""Measures the CPU time of an answer by the size of the catalog, on one history and one thread."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median_high
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.axes import Axes

from benchmarks.errors import BenchmarkError
from benchmarks.load.cpu_time import cpu_us
from benchmarks.load.workloads import HISTORY_LENGTH, K
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report
from benchmarks.results.plots import BLUE
from benchmarks.subjects.bare_graph import GraphRun, common_case_run, ranking_run
from benchmarks.subjects.searches import search_figures
from benchmarks.subjects.subject import random_student
from export.graphs.common_case_graph import MAX_ROWS, export_common_case
from export.graphs.ranking_graph import export_student
from training.progress import ProgressBar
from training.students.student import Student

SIZES = (10_000, 100_000, 300_000, 1_000_000)
SIZES_QUICK = (10_000,)
# Sizes at which the demo's trained student is measured too: `export` chooses among searches there.
TRAINED_SIZES = (300_000, 1_000_000)

IN_QUICK_RUN = False  # only large catalogs have targets


def measure(options: Options) -> Findings:
    """Times the answers of a student with random weights, for each size of the catalog.

    The student is exported first. Large catalogs are measured with the demo's student too; `make
    smoke` trains it.
    """
    trained = tuple(search_figures(options, options.pick(TRAINED_SIZES, quick=())))
    sizes, rounds = options.pick(SIZES, quick=SIZES_QUICK), options.pick(3, quick=1)
    with ProgressBar("catalogs", len(sizes) * rounds, "round") as bar:
        runs = {size: tuple(_costs(size, rounds, bar)) for size in sizes}
    return Findings(
        figures=tuple(
            Figure(name=f"an answer from {size:,} items", unit="ms CPU", runs=costs)
            for size, costs in runs.items()
        )
        + trained,
        conditions={
            "history": HISTORY_LENGTH,
            "k": K,
            "threads": 1,
            "weights": "random; of the demo's student where recall and other queries are told: its "
            "further items are mixtures of its items and their neighbours",
            "graph": f"common-case graph up to {MAX_ROWS:,} rows, then the ranking graph",
        },
        series={"sizes": sizes, "ms": list(runs.values())},
    )


def draw(axes: Axes, report: Report) -> None:
    """Plots the CPU time of an answer against the size of the catalog, on logarithmic axes."""
    sizes, medians = report.series["sizes"], [median_high(each) for each in report.series["ms"]]
    axes.plot(sizes, medians, "o-", color=BLUE)
    axes.set(xscale="log", yscale="log", xlabel="items in the catalog", ylabel="ms of CPU")
    axes.set_title("an answer from the shipped graph, by the size of the catalog")


def _costs(num_items: int, rounds: int, bar: ProgressBar) -> Iterator[float]:
    """Yields the CPU time of an answer in milliseconds, once for each of `rounds`."""
    history = np.random.default_rng(0).integers(1, num_items + 1, HISTORY_LENGTH).tolist()
    with TemporaryDirectory() as folder:
        run = _shipped_run(random_student(num_items), Path(folder) / "graph.onnx")
    if not np.isfinite(run(history, K)[1]).all():
        raise BenchmarkError(f"the graph finds fewer than {K} of {num_items:,} items")
    for _ in range(rounds):
        (cost,) = cpu_us({"answer": lambda: run(history, K)}, num_blocks=5).values()
        bar.advance()
        yield cost / 1_000


def _shipped_run(student: Student, path: Path) -> GraphRun:
    """Exports the graph that a bundle would run to `path`; returns a function that runs it.

    It is the common-case graph, or the ranking graph if the catalog is too large for that.
    """
    if export_common_case(student, path):
        return common_case_run(path)
    export_student(student, path)
    return ranking_run(path)
