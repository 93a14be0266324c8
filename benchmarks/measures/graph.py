"""Compares the bundle's graphs with a naive export of the same student, on one thread.

Each run ranks one history. The time of the bundle's graphs, called `shipped`, includes what the
service does around them: making the inputs, and converting the ranking to Python numbers.

Each round draws new histories, popular items more often, since what the shipped graph does depends
on the items: which rows it reads, how many pairs they have, and whether its quick search finds a
proof. Both graphs rank the same histories of a round, in turns. So the ratios of the rounds differ
by histories and by noise, and the interval of their median covers both.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.axes import Axes

from benchmarks.load.workloads import K
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report
from benchmarks.results.intervals import interval_figures
from benchmarks.results.plots import GRAY, GREEN
from benchmarks.subjects.naive_export import export_naively, naive_run
from benchmarks.subjects.subject import make_subject
from export.contract.bundle import load_bundle
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Ranking

LENGTHS = (1, 5, 10, 20, 50)
SHIPPED, NAIVE = "shipped", "naive"
SEED = 0
HISTORIES_PER_ROUND = 200
HISTORIES_PER_TURN = 20
MAX_RATIO = 0.5

# Largest relative difference of scores that a different order of additions can cause.
ROUNDING = 1e-6

Histories = Sequence[list[int]]
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
    bundle = load_bundle(subject.bundle)
    student = Student.of_bundle(bundle)

    def shipped(history: list[int]) -> Ranking:
        return student.rank(IndexQuery(history, K))

    generator = np.random.default_rng(SEED)
    popularity = [each.popularity for each in bundle.items]
    rounds = options.pick(15, quick=2)
    costs = _rounds({SHIPPED: shipped, NAIVE: naive}, popularity, generator, rounds)
    count = options.pick(1_000, quick=200)
    lengths = generator.integers(1, longest + 1, count)
    histories = [generator.integers(1, num_items + 1, length).tolist() for length in lengths]
    same = sum(is_same_ranking(shipped(history), naive(history)) for history in histories)
    return Findings(
        figures=(
            *figures(costs),
            Figure(
                name="histories with the same top 20", unit="", runs=(same / count,), at_least=1
            ),
        ),
        conditions={
            "histories compared": count,
            "histories timed at each length": rounds * HISTORIES_PER_ROUND,
            "rounds": rounds,
            "items of a timed history": "drawn by popularity, none twice",
            "bundle": subject.origin,
            "threads": 1,
            "lengths": LENGTHS,
            "measured": f"CPU time, {HISTORIES_PER_TURN} histories a turn",
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


def draw_histories(
    popularity: Sequence[float], length: int, count: int, generator: np.random.Generator
) -> Histories:
    """Draws `count` histories of `length` items, each item with a chance like its popularity.

    Args:
        popularity: popularity of each item of the bundle, in the bundle's order. Index 1 is the
            first item.
        length: number of items of a history, all of them different.
        count: number of histories.
        generator: source of randomness.
    """
    weights = np.array(popularity, dtype=float)
    indices, chances = np.arange(1, len(weights) + 1), weights / weights.sum()
    return [
        generator.choice(indices, length, replace=False, p=chances).tolist() for _ in range(count)
    ]


def _rounds(
    ranks: Mapping[str, Rank],
    popularity: Sequence[float],
    generator: np.random.Generator,
    rounds: int,
) -> Sequence[Costs]:
    """Times both graphs in rounds, each with histories of its own, after one round of warm-up."""
    return [_round(ranks, popularity, generator) for _ in range(1 + rounds)][1:]


def _round(
    ranks: Mapping[str, Rank], popularity: Sequence[float], generator: np.random.Generator
) -> Costs:
    return {
        (length, name): cost
        for length in LENGTHS
        for name, cost in time_in_turns(
            ranks, draw_histories(popularity, length, HISTORIES_PER_ROUND, generator)
        ).items()
    }


def time_in_turns(ranks: Mapping[str, Rank], histories: Histories) -> Mapping[str, float]:
    """Times functions that rank the same histories once, in short turns.

    Returns:
        The mean CPU time of a history in microseconds, by name of the function.
    """
    seconds = dict.fromkeys(ranks, 0.0)
    for number, start in enumerate(range(0, len(histories), HISTORIES_PER_TURN)):
        turn = histories[start : start + HISTORIES_PER_TURN]
        for name in list(ranks)[:: -1 if number % 2 else 1]:  # no graph is always the first
            began = time.process_time()
            for history in turn:
                ranks[name](history)
            seconds[name] += time.process_time() - began
    return {name: each / len(histories) * 1e6 for name, each in seconds.items()}


def figures(costs: Sequence[Costs]) -> Iterator[Figure]:
    """Makes the figures of all rounds: both times, their ratio, and its interval."""
    for length in LENGTHS:
        for name in (SHIPPED, NAIVE):
            runs = tuple(each[length, name] for each in costs)
            yield Figure(name=f"{name}, {length} items", unit="µs", runs=runs)
        ratio = f"{SHIPPED} over {NAIVE}, {length} items"
        ratios = tuple(each[length, SHIPPED] / each[length, NAIVE] for each in costs)
        yield Figure(name=ratio, unit="times", runs=ratios, at_most=MAX_RATIO)
        yield from interval_figures(ratio, ratios, MAX_RATIO)
