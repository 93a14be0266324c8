"""Compares all runs of two benchmarks that were ever stored in `benchmarks/out`, by git's history.

It shows how much the machine and the hour decide. The versions of the code differ, too. It measures
nothing itself. A clone without the full history has fewer runs.
"""

import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import ROOT
from proofs.record import Figure

COMPARED = (
    ("constant_rate", "p90 at 1,000 requests/s, regulars", "ms"),
    ("peers", "throughput over the best peer's", "times"),
)
"""Benchmarks, each with a figure's name and unit. A report may add another name in brackets."""


def prove(*, root: Path = ROOT) -> Iterator[Figure]:
    """Yields the number of stored runs of each benchmark, and the smallest and largest median.

    Args:
        root: root folder of the checkout.
    """
    for benchmark, name, unit in COMPARED:
        medians = list(stored_medians(root, f"benchmarks/out/{benchmark}.json", name))
        yield Figure(f"{benchmark}: stored runs", "runs", len(medians), at_least=1)
        yield Figure(f"{name}: smallest", unit, min(medians, default=0.0))
        yield Figure(f"{name}: largest", unit, max(medians, default=0.0))


def stored_medians(root: Path, path: str, name: str) -> Iterator[float]:
    """Yields a figure's median from each version of a report in git's history, newest first.

    Args:
        root: root folder of the checkout.
        path: path of the report below `root`.
        name: name of the figure; the report may add one in brackets.
    """
    for commit in _git(root, "log", "--format=%H", "--diff-filter=AM", "--", path).split():
        report = json.loads(_git(root, "show", f"{commit}:{path}"))
        for figure in report["figures"]:
            if figure["name"].partition(" (")[0] == name:
                yield statistics.median(figure["runs"])


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
