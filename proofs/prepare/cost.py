"""Runs `prepare` in a process of its own, and measures its memory and time."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SAMPLE_SECONDS = 0.1
_GIB = 1 << 30


@dataclass(frozen=True)
class Cost:
    """Memory and time of a run of `prepare`.

    Attributes:
        peak_gib: most memory that was resident at once, files that were mapped included, in GiB.
        private_gib: most memory without these files; the system cannot write it back to disk.
        seconds: wall-clock time.
        cpu_seconds: processor time.
    """

    peak_gib: float
    private_gib: float
    seconds: float
    cpu_seconds: float


def run_prepare(config: Path, work: Path) -> Cost:
    """Runs `prepare` in a process of its own.

    Raises:
        RuntimeError: `prepare` fails.
    """
    command = [sys.executable, "-m", "training.prepare", str(config), "--work", str(work)]
    environment = {**os.environ, "TMPDIR": str(work.parent)}
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    peak = private = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        # Not `usage.ru_maxrss`: it includes the memory of this process, from which it was forked.
        peak = max(peak, _bytes(process.pid, "VmHWM"))
        private = max(private, _bytes(process.pid, "RssAnon"))
        time.sleep(_SAMPLE_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return Cost(
        peak_gib=peak / _GIB,
        private_gib=private / _GIB,
        seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
    )


def _bytes(process: int, name: str) -> int:
    """Returns a figure of a process's memory in `/proc/PID/status`; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) * 1024 if found else 0
