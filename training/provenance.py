"""Where a result comes from: the commit and the machine."""

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

# What programs write of results makes no result: one that writes several goes on as it began.
# The runs in a folder below are read again, so theirs count.
REPORTS = ("benchmarks/out/*", "docs/results/*")


@cache
def commit() -> str:
    """The commit of this working copy, `+` if any but `REPORTS` differ; `unknown` outside git.

    Asked of git once: a program runs the code that it began with, whatever is committed meanwhile.
    """
    others = [f":(top,exclude,glob){each}" for each in REPORTS]
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", *others)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changes else head


def hardware() -> str:
    """Processor and number of cores, for people."""
    return f"{_processor()}, {os.cpu_count()} cores"


def without_addresses(told: Mapping[str, Any]) -> dict[str, Any]:
    """`told` without where an LLM's server is, at any depth: it is shown and handed on."""
    return {
        key: without_addresses(value) if isinstance(value, Mapping) else value
        for key, value in told.items()
        if key != "endpoint"
    }


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    answer = subprocess.run(  # noqa: S603, fixed arguments
        ["git", *arguments],  # noqa: S607, the git of the PATH is the one meant
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
    )
    return answer.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
