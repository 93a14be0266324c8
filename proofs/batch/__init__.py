"""Measures `distilled-recommender recommend` on many histories, killed and resumed, beside REST.

A run is killed with SIGKILL after a third of its parts and given again; another one is not
interrupted. Their files are compared byte for byte, and some of their answers with the service's.

python -m proofs batch [--histories N]
"""

import asyncio
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from distilled_recommender.recommend.program import PART_ROWS
from proofs.record import Figure
from service.app import create_app
from service.settings import Settings

BUNDLE = Path(__file__).parents[2] / "assets/movielens/bundle"
K = 20
TIE = 1e-5
_POLL_SECONDS = 0.05
_BLOCK = 100_000
MIB = 2**20


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        seconds: time that it took.
        early_mib: largest memory of all its processes before half of its parts were done.
        late_mib: largest memory after that.
    """

    seconds: float
    early_mib: float
    late_mib: float


def prove(*, histories: int = 1_000_000, asked: int = 10_000, seed: int = 7) -> Iterator[Figure]:
    """Measures rate, memory and agreement with the service.

    Args:
        histories: number of histories.
        asked: number of these that the service is asked too.
        seed: seed of the histories.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, whole, resumed = (
            Path(folder) / f"{each}.parquet" for each in ("in", "whole", "resumed")
        )
        _write_histories(source, histories, np.random.default_rng(seed))
        run = _run(source, whole, histories)
        yield Figure("histories", "", histories)
        yield Figure("rate", "histories/s", histories / run.seconds)
        yield Figure("memory of all processes, first half", "MiB", run.early_mib)
        growth = run.late_mib - run.early_mib
        yield Figure("memory, second half more than first", "MiB", growth, at_most=64)
        num_kept = _killed(source, resumed, histories)
        yield Figure("parts kept of the killed run", "", num_kept, at_least=1)
        _run(source, resumed, histories)
        differs = _digest(whole) != _digest(resumed)
        yield Figure("files that differ after kill and resumption", "", int(differs), at_most=0)
        others, difference = asyncio.run(_compared(source, whole, min(asked, histories)))
        yield Figure("other items than the service's", "answers", others, at_most=0)
        yield Figure("largest difference of a score", "", difference, at_most=TIE)


def _write_histories(path: Path, number: int, random: np.random.Generator) -> None:
    """Writes random histories of 0 to 49 films, popular ones more often."""
    lines = (BUNDLE / "items.jsonl").read_text().count("\n")
    schema = pa.schema([("user", pa.int64()), ("history", pa.list_(pa.string()))])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, number, _BLOCK):
            lengths = random.integers(0, 50, min(_BLOCK, number - start))
            films = (1 + lines * random.random(lengths.sum()) ** 3).astype(np.int64).astype(str)
            offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
            lists = pa.ListArray.from_arrays(offsets, pa.array(films, pa.string()))
            users = pa.array(np.arange(start, start + len(lengths)))
            writer.write_table(pa.table([users, lists], schema))


def _start(source: Path, out: Path) -> "subprocess.Popen[bytes]":
    words = ["recommend", str(BUNDLE), str(source), str(out), "--k", str(K)]
    return subprocess.Popen([sys.executable, "-m", "distilled_recommender", *words])


def _run(source: Path, out: Path, histories: int) -> Run:
    """Runs the command to its end, and measures its memory."""
    started = time.monotonic()
    largest = {False: 0.0, True: 0.0}
    num_parts = -(-histories // PART_ROWS)
    with _start(source, out) as process:
        while process.poll() is None:
            is_late = len(_parts(out)) > num_parts / 2
            largest[is_late] = max(largest[is_late], _memory_mib(process.pid))
            time.sleep(_POLL_SECONDS)
    if process.returncode:
        raise RuntimeError(f"the command ended with code {process.returncode}")
    return Run(time.monotonic() - started, largest[False], largest[True])


def _killed(source: Path, out: Path, histories: int) -> int:
    """Kills a run after a third of its parts; returns how many are kept."""
    with _start(source, out) as process:
        while process.poll() is None and len(_parts(out)) < histories / PART_ROWS / 3:
            time.sleep(_POLL_SECONDS)
        process.send_signal(signal.SIGKILL)
    return len(_parts(out))


def _parts(out: Path) -> Sequence[Path]:
    return list(out.with_name(f"{out.name}.parts").glob("part-*.parquet"))


def _memory_mib(pid: int) -> float:
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total / MIB


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _compared(source: Path, out: Path, asked: int) -> tuple[int, float]:
    """Asks the service for the first histories.

    Returns the number of lists with other items, but for ties, and the largest difference of the
    scores at one place.
    """
    histories = next(pq.ParquetFile(source).iter_batches(asked)).column("history").to_pylist()
    answers = next(pq.ParquetFile(out).iter_batches(len(histories)))
    items, scores = (answers.column(each).to_pylist() for each in ("item_ids", "scores"))
    app = create_app(Settings(bundle_path=BUNDLE))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
    others, largest = 0, 0.0
    async with app.router.lifespan_context(app), client:
        for history, item_ids, numbers in zip(histories, items, scores, strict=True):
            reply = await client.post("/v1/recommendations", json={"history": history, "k": K})
            listed = reply.raise_for_status().json()["items"]
            expected = np.array([each["score"] for each in listed])
            differences = np.abs(expected - np.array(numbers))
            largest = max(largest, float(differences.max(initial=0)))
            are_same = item_ids == [each["item_id"] for each in listed]
            others += not are_same and differences.max(initial=0) > TIE
    return others, largest
