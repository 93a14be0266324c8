"""Describes where a result comes from: the commit of the code and the machine."""

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

# Reports, which programs write but never read. Changes in them do not mark a commit as changed.
# Otherwise the first report that a program writes would mark the next ones. Programs read stored
# runs, in a folder below docs/results, so changes in these do count.
REPORTS = ("benchmarks/out/*", "docs/results/*")


@cache
def commit(folder: Path = Path(__file__).parent) -> str:
    """Returns the commit of the working copy that has `folder`, by default this one.

    It has 12 hexadecimal digits, or is `unknown` without git. If tracked files have changes that
    are not committed, `+` is added; generated reports (`REPORTS`) do not count. The first result is
    cached, since a program runs the code that it started with, even if a commit is made meanwhile.
    """
    others = [f":(top,exclude,glob){each}" for each in REPORTS]
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", *others)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changes else head


def hardware() -> str:
    """Returns the name of the processor and the number of cores, as text."""
    return f"{_processor()}, {os.cpu_count()} cores"


def without_addresses(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of `provenance` without the settings `endpoint`, at any depth.

    These settings contain the addresses of LLM servers, and provenance is published.
    """
    return {
        key: without_addresses(value) if isinstance(value, Mapping) else value
        for key, value in provenance.items()
        if key != "endpoint"
    }


def _git(folder: Path, *arguments: str) -> str:
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
