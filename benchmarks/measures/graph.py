"""Compares the bundle's graphs with a naive export of the same student, on one thread.

Each run ranks one history. The time of the bundle's graphs, called `shipped`, includes what the
service does around them: making the inputs, and converting the ranking to Python numbers.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.axes import Axes

from benchmarks.load.cpu_time import cpu_us
from benchmarks.load.workloads import K
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report
from benchmarks.results.plots import GRAY, GREEN
from benchmarks.subjects.naive_export import export_naively, naive_run
from benchmarks.subjects.subject import make_subject
from export.contract.bundle import load_bundle
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Ranking

LENGTHS = (1, 5, 10, 20, 50)
SHIPPED, NAIVE = "shipped", "naive"
SEED = 0

# Largest relative difference of scores that a different order of additions can cause.
ROUNDING = 1e-6

Rank = Callable[[list[int]], Ranking]
Costs = Mapping[tuple[int, str], float]
"""Maps the length of a history and the name of a graph to CPU time in microseconds."""


def measure(options: Options) -> Findings:
    """Times the graphs `shipped` and `naive` in turns, at several lengths of the history.

    Also compares their rankings of random histories.
    """
    subject = make_subject(options)
    num_items, longest = len(subject.item_ids), subject.student.max_history_length
    with TemporaryDirectory() as folder:
        path = Path(folder) / "naive.onnx"
        export_naively(subject.student, path)
        naive = naive_run(path, longest)
    student = Student.of_bundle(load_bundle(subject.bundle))

    def shipped(history: list[int]) -> Ranking:
        return student.rank(IndexQuery(history, K))

    generator = np.random.default_rng(SEED)
    costs = [_time_all(shipped, naive, num_items) for _ in range(options.pick(5, quick=2))]
    count = options.pick(1_000, quick=200)
    lengths = generator.integers(1, longest + 1, count)
    histories = [generator.integers(1, num_items + 1, length).tolist() for length in lengths]
    same = sum(is_same_ranking(shipped(history), naive(history)) for history in histories)
    return Findings(
        figures=(
            *_figures(costs),
            Figure(
                name="histories with the same top 20", unit="", runs=(same / count,), at_least=1
            ),
        ),
        conditions={
            "histories compared": count,
            "bundle": subject.origin,
            "threads": 1,
            "lengths": LENGTHS,
            "measured": "CPU time, blocks in turns",
        },
        series={
            name: [statistics.median(each[length, name] for each in costs) for length in LENGTHS]
            for name in (SHIPPED, NAIVE)
        },
    )


def draw(axes: Axes, report: Report) -> None:
    """Plots the CPU time per answer of both graphs against the length of the history."""
    lengths = report.conditions["lengths"]
    for name, colour in ((NAIVE, GRAY), (SHIPPED, GREEN)):
        axes.plot(lengths, report.series[name], "o-", color=colour, label=name)
    axes.set(xlabel="items of history", ylabel="µs of CPU per answer", ylim=(0, None))
    axes.set_title("the shipped graph and a naive export of the same student")
    axes.legend(frameon=False, loc="best")


def is_same_ranking(ranking: Ranking, other: Ranking) -> bool:
    """Returns whether both rankings are equal, apart from the order of items with equal scores.

    Scores that differ by rounding only count as equal (`ROUNDING`).
    """
    return all(
        mine == its or abs(my_score - its_score) <= ROUNDING * (1 + abs(its_score))
        for (mine, my_score), (its, its_score) in zip(ranking, other, strict=True)
    )


def _time_all(shipped: Rank, naive: Rank, num_items: int) -> Costs:
    generator = np.random.default_rng(SEED)
    histories = {
        length: generator.integers(1, num_items + 1, length).tolist() for length in LENGTHS
    }
    return cpu_us(
        {
            (length, name): partial(rank, history)
            for length, history in histories.items()
            for name, rank in ((SHIPPED, shipped), (NAIVE, naive))
        }
    )


def _figures(costs: Sequence[Costs]) -> Iterator[Figure]:
    for length in LENGTHS:
        for name in (SHIPPED, NAIVE):
            runs = tuple(each[length, name] for each in costs)
            yield Figure(name=f"{name}, {length} items", unit="µs", runs=runs)
        yield Figure(
            name=f"{SHIPPED} over {NAIVE}, {length} items",
            unit="times",
            runs=tuple(each[length, SHIPPED] / each[length, NAIVE] for each in costs),
            at_most=0.5,
        )
