"""Finds the benchmarks: each module of `benchmarks/measures/` is one, named after its file.

A module defines `measure(options)`, which runs the benchmark and returns its findings. It may
define `draw(axes, report)`, the plot of its report; the default is one bar for each figure with a
limit. It may set `IN_QUICK_RUN = False`: then `--quick` runs it only where it is named.
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
    """A benchmark and its plot."""

    measure: Measure
    draw: Draw = draw_bars
    in_quick_run: bool = True


def benchmark_names() -> list[str]:
    """Returns the names of all benchmarks in alphabetical order; imports none of them."""
    return sorted(module.name for module in iter_modules(measures.__path__))


def load_benchmark(name: str) -> Benchmark:
    """Imports the benchmark `name`, with the libraries that it needs."""
    module = import_module(f"{measures.__name__}.{name}")
    return Benchmark(
        measure=module.measure,
        draw=getattr(module, "draw", draw_bars),
        in_quick_run=getattr(module, "IN_QUICK_RUN", True),
    )
