"""Proves that a teacher's work in parts survives `kill -9` and gives the bytes of one process.

Several processes of `teach --part` share one folder. All but the last are killed while they compute
a shard; the last one completes the work, and `teach --store` makes the knowledge.

python -m proofs teach_parts [--processes N] [--rows N] [--layers N]
"""

import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.fixtures.data.taught import (
    differing_files,
    succeed,
    work_of,
    workplace_of,
    write_config,
)
from proofs.record import Figure
from proofs.teach_parts.killed_crew import KilledCrew
from training import prepare, teach


def prove(
    *,
    processes: int = 3,
    rows: int = 20_000,
    model: str = "smollm2",
    layers: int = 4,
    published_before_kill: int = 1,
    last_apart: bool = True,
) -> Iterable[Figure]:
    """Yields what was lost by the killed processes, and how the knowledge differs.

    Args:
        processes: number of parts; all but the last are killed.
        rows: number of random interactions that the teacher reads.
        model: the LLM, as in `teacher.model`.
        layers: number of first layers of the LLM.
        published_before_kill: number of shards that a process has completed before it is killed.
        last_apart: whether the last part is a process that starts with the others; if not, it
            begins in this process after the kills.

    Raises:
        RuntimeError: a program fails, or takes too long.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = write_config(folder, rows, model, layers)
        alone = work_of(folder, "alone")
        succeed(prepare.main([str(config), "--work", str(alone)]))
        began = time.monotonic()
        succeed(teach.main([str(config), "--work", str(alone)]))
        yield Figure("time of one process", "s", time.monotonic() - began)
        crew = KilledCrew(folder, config, alone, processes, published_before_kill)
        began = time.monotonic()
        crew.run(last_apart=last_apart)
        yield Figure("time of all parts, on the same machine", "s", time.monotonic() - began)
        yield from crew.figures()
        merged = crew.merged()
        yield Figure("shards computed when merging", "", merged, at_most=0)
        works = (workplace_of(alone), workplace_of(work_of(folder, "merged")))
        differing = differing_files(config, *works)
        yield Figure("files that differ from those of one process", "", differing, at_most=0)
