"""Runs `distilled-recommender recommend` to its end, or until it is killed, and measures it."""

import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from distilled_recommender.recommend.parts import Parts
from distilled_recommender.recommend.program import PART_ROWS
from proofs.fixtures.places import EXAMPLE

MIB = 2**20
WORKERS = 2

_POLL_SECONDS = 0.05
_TENTHS = 10


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        seconds: time that it took.
        cpu_seconds: processor time of all its processes, as seen shortly before their end.
        mib_by_tenth: largest resident memory of all its processes, pages that they share counted
            in each, while a tenth of its parts was made; by the number of the tenth, from 0. The
            last one includes the joining of the parts.
    """

    seconds: float
    cpu_seconds: float
    mib_by_tenth: Mapping[int, float]

    @property
    def growth_mib(self) -> float:
        """Largest memory minus that of the first tenth."""
        return max(self.mib_by_tenth.values()) - self.mib_by_tenth[0]


def run_to_the_end(source: Path, out: Path, k: int) -> Run:
    """Runs the command to its end.

    Raises:
        RuntimeError: the command failed.
    """
    started = time.monotonic()
    peaks: dict[int, float] = defaultdict(float)
    seconds_of: dict[int, float] = {}
    num_parts, done = _num_parts(source), 0
    with _start(source, out, k) as process:
        while process.poll() is None:
            done = max(done, _num_stored(out))  # the parts are removed at the end
            memory = 0.0
            for each in _family(process.pid):
                with suppress(psutil.NoSuchProcess):
                    memory += each.memory_info().rss / MIB
                    seconds_of[each.pid] = sum(each.cpu_times()[:2])
            tenth = min(_TENTHS - 1, done * _TENTHS // num_parts)
            peaks[tenth] = max(peaks[tenth], memory)
            time.sleep(_POLL_SECONDS)
    if process.returncode:
        raise RuntimeError(f"the command ended with code {process.returncode}")
    return Run(time.monotonic() - started, sum(seconds_of.values()), peaks)


def kill_halfway(source: Path, out: Path, k: int) -> int:
    """Kills a run with SIGKILL after half of its parts; returns how many are kept."""
    half = _num_parts(source) / 2
    with _start(source, out, k) as process:
        while process.poll() is None and _num_stored(out) < half:
            time.sleep(_POLL_SECONDS)
        process.send_signal(signal.SIGKILL)
    return _num_stored(out)


def _start(source: Path, out: Path, k: int) -> "subprocess.Popen[bytes]":
    words = ["recommend", str(EXAMPLE), str(source), str(out), "--k", str(k)]
    words += ["--workers", str(WORKERS)]
    return subprocess.Popen([sys.executable, "-m", "distilled_recommender", *words])


def _num_parts(source: Path) -> int:
    num_rows: int = pq.read_metadata(source).num_rows
    return -(-num_rows // PART_ROWS)


def _num_stored(out: Path) -> int:
    return len(list(Parts(out).folder.glob("part-*.parquet")))


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []
