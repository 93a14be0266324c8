"""What the size of the catalog does to an answer: the shipped graph on one history, one thread."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from benchmarks.load.cpu_time import cpu_us
from benchmarks.load.workloads import HISTORY_LENGTH, K
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings
from benchmarks.rivals.click_handler import Run, plain_run, ranking_run
from benchmarks.subjects.processes import BenchmarkError
from benchmarks.subjects.subject import random_student
from export.graphs.common_case_graph import MAX_ROWS, export_common_case
from export.graphs.ranking_graph import export_student
from training.students.student import Student

SIZES = (10_000, 100_000, 300_000, 1_000_000)
SIZES_QUICK = (10_000,)


def measure(setting: Setting) -> Findings:
    """Exports a student of random weights for each size; see the module."""
    sizes = SIZES_QUICK if setting.is_quick else SIZES
    runs = {
        size: tuple(_costs(size, round(setting.either(3, 1)))) for size in tqdm(sizes, "catalogs")
    }
    return Findings(
        figures=tuple(
            Figure(name=f"an answer from {size:,} items", unit="ms CPU", runs=costs)
            for size, costs in runs.items()
        ),
        conditions={
            "history": HISTORY_LENGTH,
            "k": K,
            "threads": 1,
            "weights": "random",
            "graph": f"the common-case graph up to {MAX_ROWS:,} rows, then the ranking graph",
        },
        series={"sizes": sizes, "ms": list(runs.values())},
    )


def _costs(num_items: int, rounds: int) -> Iterator[float]:
    """Milliseconds of CPU an answer."""
    history = np.random.default_rng(0).integers(1, num_items + 1, HISTORY_LENGTH).tolist()
    with TemporaryDirectory() as folder:
        run = _run(random_student(num_items), Path(folder) / "graph.onnx")
    if not np.isfinite(run(history, K)[1]).all():
        raise BenchmarkError(
            f"of {num_items:,} items the graph of plain questions knows too little"
        )
    for _ in range(rounds):
        (cost,) = cpu_us({"answer": lambda: run(history, K)}, turns=5).values()
        yield cost / 1_000


def _run(student: Student, path: Path) -> Run:
    """What answers most requests of a catalog of that size."""
    if export_common_case(student, path):
        return plain_run(path)
    export_student(student, path)
    return ranking_run(path)
