"""Measures `distilled-recommender recommend` on many histories, killed and resumed, beside REST.

A run is killed with SIGKILL after half of its parts and given again; another one is not
interrupted. Their files are compared byte for byte, and some of their answers with those of a
running service.

python -m proofs batch [--histories N]
"""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from proofs.batch.service import compare_with_service
from proofs.fixtures.agreement import TIE
from proofs.fixtures.data.histories import write_histories
from proofs.fixtures.processes.recommending import kill_halfway, run_to_the_end
from proofs.record import Figure

K = 20
MAX_GROWTH_MIB = 64


def prove(*, histories: int = 10_000_000, asked: int = 10_000, seed: int = 7) -> Iterator[Figure]:
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
        num_items = write_histories(source, histories, np.random.default_rng(seed))
        yield Figure("histories", "", histories)
        yield Figure("items of a history", "mean", num_items / histories)
        run = run_to_the_end(source, whole, K)
        yield Figure("time", "s", run.seconds)
        yield Figure("rate", "histories/s", histories / run.seconds)
        yield Figure("time of all processes", "CPU s", run.cpu_seconds)
        yield Figure("rate of one core", "histories/CPU s", histories / run.cpu_seconds)
        for tenth, mib in sorted(run.mib_by_tenth.items()):
            yield Figure(f"peak memory of all processes, tenth {tenth + 1}", "MiB", mib)
        yield Figure("growth of memory", "MiB", run.growth_mib, at_most=MAX_GROWTH_MIB)
        yield Figure("size of the output", "bytes", whole.stat().st_size)
        num_kept = kill_halfway(source, resumed, K)
        yield Figure("parts kept of the killed run", "", num_kept, at_least=1)
        yield Figure("time of the resumed run", "s", run_to_the_end(source, resumed, K).seconds)
        differs = _digest(whole) != _digest(resumed)
        yield Figure("files that differ after kill and resumption", "", int(differs), at_most=0)
        compared = compare_with_service(source, whole, K, asked, TIE)
        yield Figure("histories asked of the service", "", compared.asked)
        yield Figure("other items than the service's", "answers", compared.others, at_most=0)
        yield Figure("lists with ties in another order", "answers", compared.ties)
        yield Figure("largest difference of a score", "", compared.difference, at_most=TIE)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
