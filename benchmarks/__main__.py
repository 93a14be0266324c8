"""Runs benchmarks, saves their reports and plots, and prints one table of all figures.

python -m benchmarks [NAME …] [--quick]
"""

import math
import sys
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from httpx import HTTPError
from psutil import Error as ProcessError
from redis import RedisError

from benchmarks.errors import BenchmarkError
from benchmarks.options import ROOT, Options
from benchmarks.registry import benchmark_names, load_benchmark
from benchmarks.results.figures import Report, make_report, save_report, summary_table
from benchmarks.results.plots import save_plot
from export.contract.bundle import BundleError
from training.cli import USER_ERROR, run, say
from training.errors import TrainingError
from training.provenance import commit
from training.settings.options import WORK, Work

# What a benchmark meets if a file, a bundle, a measured program or its Redis cannot be used.
CANNOT_RUN = (
    TrainingError,
    BundleError,
    OSError,
    HTTPError,
    RedisError,
    ProcessError,
    BrokenExecutor,
)

Names = Annotated[
    str, Parameter(choices=tuple(benchmark_names()), help="Benchmarks to run; by default all.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class BenchOptions:
    """The options of the command `bench`, except the benchmark names and `--work`."""

    quick: bool = False
    """Run briefly, and only benchmarks that have targets and need no LLM."""
    peers_python: Path = ROOT / ".venv/peers/bin/python"
    """Python interpreter with the peer servers, by default the one that `make bench` installs."""
    core_hour: Annotated[
        float, Parameter(show_default=True, validator=Number(gte=0, lt=math.inf))
    ] = 0.04
    """Price of one CPU core for one hour, in dollars."""
    against: Path | None = None
    """Checkout of another commit; `request_cost` compares the CPU time of a request with it."""
    out: Path | None = None
    """Folder of the reports, by default benchmarks/out, or WORK/bench/quick with --quick or
    --against."""


DEFAULTS = BenchOptions()


def command(*names: Names, work: Work = WORK, options: BenchOptions = DEFAULTS) -> int:
    """Measure the speed and memory of the service and the programs."""
    run_options = Options(
        work, options.quick, options.peers_python, options.core_hour, options.against
    )
    is_of_commit = not options.quick and options.against is None
    standard = ROOT / "benchmarks" / "out" if is_of_commit else run_options.bundles / "quick"
    out = options.out or standard
    return run_benchmarks(names or _default_names(run_options), run_options, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns the exit code."""
    return run(command, "benchmarks", arguments)


def run_benchmarks(names: Sequence[str], options: Options, folder: Path) -> int:
    """Runs the benchmarks `names`, saves reports and plots in `folder`, and prints one table.

    Returns:
        The exit code: 0, or 2 if a benchmark could not run. Missed targets do not change it; the
        table shows them.

    Raises:
        BenchmarkError: nothing can be written in `folder`; no benchmark has run.
    """
    _check_writable(folder)
    commit()  # its result is kept: reports name the code that is measured, not a later commit
    reports, errors = [], []
    for name in names:
        say(f"\n── {name}")
        try:
            reports.append(_run(name, options, folder))
        except CANNOT_RUN as error:
            errors.append(f"{name}: {error}")
            say(f"error: {error}")
    say(f"\n{summary_table(reports)}")
    for line in errors:
        sys.stderr.write(f"error: {line}\n")
    return USER_ERROR if errors else 0


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BenchmarkError(f"{folder}: cannot be written: {error.strerror}") from None


def _default_names(options: Options) -> list[str]:
    names = benchmark_names()
    return [name for name in names if not options.is_quick or load_benchmark(name).in_quick_run]


def _run(name: str, options: Options, folder: Path) -> Report:
    benchmark = load_benchmark(name)
    started = time.monotonic()
    report = make_report(name, benchmark.measure(options), options)
    save_report(report, folder)
    plot = save_plot(report, benchmark.draw, folder)
    say(f"{plot}, {time.monotonic() - started:.0f} s")
    return report


if __name__ == "__main__":
    sys.exit(main())
