"""Measures searches of large catalogs, on one thread, after real histories.

The student is the demo's trained one with more items (`benchmarks.subjects.large_catalog`). Each
size is exported as `export` does, which measures the search with proof and the searches by blocks
that it tries, and chooses one.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from tqdm import tqdm

from benchmarks.errors import BenchmarkError
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report
from benchmarks.results.plots import BLUE, GRAY
from benchmarks.subjects.large_catalog import enlarged
from benchmarks.subjects.subject import demo_workplace
from export.graphs.query_encoder import encoder_of
from export.scorer import NUM_QUERIES, export_best_search
from training.data.storage import load_dataset
from training.distillation.checkpoint import Checkpoint, load_checkpoint
from training.distillation.variants import DISTILLED
from training.workplace import Workplace

SIZES = (300_000, 1_000_000)
SIZES_QUICK = (300_000,)
BARS = {1_000_000: (3.0, 10.0)}  # p50 and p99 in milliseconds
MIN_RECALL = 0.99

IN_QUICK_RUN = False


def measure(options: Options) -> Findings:
    """Exports the student at each size, and returns the figures of the search that was chosen."""
    workplace = demo_workplace(options)
    sizes = options.pick(SIZES, quick=SIZES_QUICK)
    scorers = {size: _scorer(workplace, size) for size in tqdm(sizes, "catalogs")}
    return Findings(
        figures=tuple(each for size, scorer in scorers.items() for each in _figures(size, scorer)),
        conditions={
            "student": "the demo's; further items are mixtures of its items and their neighbours",
            "histories": f"{NUM_QUERIES} of the demo's held-out examples",
            "threads": 1,
            "chosen": {f"{size:,}": scorer["search"] for size, scorer in scorers.items()},
        },
        series={
            "sizes": list(scorers),
            "proven": [scorer["measured"][0]["p50_ms"] for scorer in scorers.values()],
            "chosen": [scorer["p50_ms"] for scorer in scorers.values()],
        },
    )


def draw(axes: Axes, report: Report) -> None:
    """Plots the CPU time of both searches against the size of the catalog."""
    for name, colour in (("proven", GRAY), ("chosen", BLUE)):
        axes.plot(report.series["sizes"], report.series[name], "o-", color=colour, label=name)
    axes.set(xscale="log", xlabel="items in the catalog", ylabel="ms of CPU", ylim=(0, None))
    axes.set_title("an answer by the search with proof, and by the one that was chosen")
    axes.legend(frameon=False)


def _scorer(workplace: Workplace, num_items: int) -> Mapping[str, Any]:
    catalog = enlarged(_checkpoint(workplace), load_dataset(workplace.dataset), num_items)
    histories = [np.array(each) for each in catalog.histories[:NUM_QUERIES]]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        scorer = export_best_search(encoder_of(catalog.student), path, histories)
    if scorer is None:
        raise BenchmarkError(f"{num_items:,} items are too few for a choice of the search")
    return scorer


def _checkpoint(workplace: Workplace) -> Checkpoint:
    """Returns the distilled student of the first seed."""
    return load_checkpoint(workplace.checkpoints / f"{DISTILLED}-0")


def _figures(size: int, scorer: Mapping[str, Any]) -> Iterator[Figure]:
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
