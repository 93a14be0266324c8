"""Runs benchmarks, saves their reports and plots, prints one table of all figures.

python -m benchmarks [NAME …] [--quick]
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks.options import ROOT, Options
from benchmarks.registry import benchmark_names, load_benchmark
from benchmarks.results.figures import Report, make_report, save_report, summary_table
from benchmarks.results.plots import save_plot
from training.cli import USER_ERROR, say
from training.errors import TrainingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code, which is 0 if every benchmark could run."""
    parsed = _parser().parse_args(arguments)
    options = Options(parsed.work, parsed.quick, parsed.peers_python, parsed.core_hour)
    folder = parsed.out or options.pick(
        ROOT / "benchmarks" / "out", quick=options.bundles / "quick"
    )
    reports, errors = [], []
    for name in parsed.names or _default_names(options):
        say(f"\n── {name}")
        try:
            reports.append(_run(name, options, folder))
        except (TrainingError, OSError) as error:
            errors.append(f"{name}: {error}")
            say(f"error: {error}")
    say(f"\n{summary_table(reports)}")
    for line in errors:
        sys.stderr.write(f"error: {line}\n")
    return USER_ERROR if errors else 0


def _default_names(options: Options) -> list[str]:
    names = benchmark_names()
    return [name for name in names if not options.is_quick or load_benchmark(name).in_quick_run]


def _run(name: str, options: Options, folder: Path) -> Report:
    benchmark = load_benchmark(name)
    started = time.monotonic()
    report = make_report(name, benchmark.measure(options), is_quick=options.is_quick)
    save_report(report, folder)
    plot = save_plot(report, benchmark.draw, folder)
    say(f"{plot}, {time.monotonic() - started:.0f} s")
    return report


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m benchmarks",
        description="Runs benchmarks, saves their reports and plots, prints one table.",
    )
    parser.add_argument("names", nargs="*", choices=[[], *benchmark_names()], help="default: all")
    parser.add_argument("--quick", action="store_true", help="short runs, and no LLM")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("work"),
        help="folder with the results of all pipeline stages (default: %(default)s)",
    )
    parser.add_argument(
        "--peers-python",
        type=Path,
        default=ROOT / ".venv/peers/bin/python",
        help="interpreter that has the other servers installed (default: %(default)s)",
    )
    parser.add_argument(
        "--core-hour",
        type=float,
        default=0.04,
        help="price of a CPU core for an hour, in dollars (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the reports (default: benchmarks/out; with --quick WORK/bench/quick)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
