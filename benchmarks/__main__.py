"""The program: runs benchmarks, keeps their reports and pictures, prints one table.

python -m benchmarks [NAME …] [--quick]
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.options import Benchmark, Setting
from benchmarks.results.figures import Report, save_report, stamped, table
from benchmarks.results.plots import draw
from benchmarks.subjects.processes import ROOT
from training.cli import USER_ERROR, say
from training.errors import TrainingError

NAMES = (
    "constant_rate",
    "peers",
    "student_vs_teacher",
    "request_cost",
    "breakdown",
    "graph",
    "cold_start",
    "added_item",
    "epoch_cost",
    "memory",
    "scale",
)
# Of these the first two have no bar, and an LLM is read for half a minute before it answers.
NOT_AT_FIRST = frozenset({"breakdown", "scale", "student_vs_teacher"})


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = _parser().parse_args(arguments)
    setting = Setting(options.work, options.quick, options.peers_python, options.core_hour)
    folder = options.out or (
        options.work / "bench" / "quick" if options.quick else ROOT / "benchmarks" / "out"
    )
    reports, lacking = [], []
    for name in options.names or _all(setting):
        say(f"\n── {name}")
        try:
            reports.append(_run(name, setting, folder))
        except (TrainingError, OSError) as error:
            lacking.append(f"{name}: {error}")
            say(f"error: {error}")
    say(f"\n{table(reports)}")
    for line in lacking:
        sys.stderr.write(f"error: {line}\n")
    return USER_ERROR if lacking else 0


def _all(setting: Setting) -> Sequence[str]:
    return [name for name in NAMES if not (setting.is_quick and name in NOT_AT_FIRST)]


def _run(name: str, setting: Setting, folder: Path) -> Report:
    benchmark: Benchmark = import_module(f"benchmarks.measures.{name}").measure
    started = time.monotonic()
    report = stamped(name, benchmark(setting), is_quick=setting.is_quick)
    save_report(report, folder)
    say(f"{draw(report, folder)}, {time.monotonic() - started:.0f} s")
    return report


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m benchmarks", description="Measure; see README.")
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], help="default: all")
    parser.add_argument("--quick", action="store_true", help="short runs, and no LLM")
    parser.add_argument("--work", type=Path, default=Path("work"), help="default: %(default)s")
    parser.add_argument(
        "--peers-python",
        type=Path,
        default=ROOT / ".venv/peers/bin/python",
        help="an interpreter that has the other servers (default: %(default)s)",
    )
    parser.add_argument(
        "--core-hour",
        type=float,
        default=0.04,
        help="dollars that a core costs for an hour (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, help="folder of the reports (default: benchmarks/out)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
