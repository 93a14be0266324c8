"""Provenance of a result: the commit and the machine."""

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

# Changes in these files do not mark a commit as changed: programs only write them, so one that
# writes several keeps its mark. Runs, in a folder below docs/results, are read again and count.
REPORTS = ("benchmarks/out/*", "docs/results/*")


@cache
def commit() -> str:
    """The commit of this working copy, with `+` if files other than `REPORTS` have changed.

    `unknown` outside git. Read from git once, since a program keeps running the code that it
    started with, even if something is committed meanwhile.
    """
    others = [f":(top,exclude,glob){each}" for each in REPORTS]
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", *others)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changes else head


def hardware() -> str:
    """Processor and number of cores, as text."""
    return f"{_processor()}, {os.cpu_count()} cores"


def without_addresses(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Removes the addresses of LLM servers, at any depth, since provenance is published."""
    return {
        key: without_addresses(value) if isinstance(value, Mapping) else value
        for key, value in provenance.items()
        if key != "endpoint"
    }


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    finished = subprocess.run(  # noqa: S603, fixed arguments
        ["git", *arguments],  # noqa: S607, git is found on the PATH
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
    )
    return finished.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
