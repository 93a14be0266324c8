"""Finds the benchmarks: each module of `benchmarks/measures/` is a benchmark with its name.

A module defines `measure(options)`, which runs the benchmark and returns its findings. It may
define `draw(axes, report)`, which plots the report; the default draws one bar per figure with a
target. With `IN_QUICK_RUN = False`, `--quick` runs the benchmark only if the command names it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from benchmarks import measures
from benchmarks.options import Options
from benchmarks.results.figures import Findings
from benchmarks.results.plots import Draw, draw_bars

Measure = Callable[[Options], Findings]


@dataclass(frozen=True)
class Benchmark:
    """A loaded module of `benchmarks/measures/`.

    Attributes:
        measure: runs the benchmark and returns its findings.
        draw: draws the plot of its report.
        in_quick_run: whether `--quick` runs it if the command names no benchmarks.
    """

    measure: Measure
    draw: Draw = draw_bars
    in_quick_run: bool = True


def benchmark_names() -> list[str]:
    """Returns the names of all benchmarks in alphabetical order, without importing them."""
    return sorted(module.name for module in iter_modules(measures.__path__))


def load_benchmark(name: str) -> Benchmark:
    """Returns the benchmark `name`; imports its module and the libraries that it measures."""
    module = import_module(f"{measures.__name__}.{name}")
    return Benchmark(
        measure=module.measure,
        draw=getattr(module, "draw", draw_bars),
        in_quick_run=getattr(module, "IN_QUICK_RUN", True),
    )
