"""Proves that Ray Data gives the answers and the teacher's knowledge of one machine.

Runs the programs of docs/how-to/ray.md as they stand, on a Ray cluster of this machine: one that
recommends for a file of histories, beside `distilled-recommender recommend`, and one that computes
a teacher's shards, of which a process is killed, beside `teach`. Ray is no dependency, so its
environment is given.

python -m proofs ray_data --python PYTHON
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from proofs.fixtures.agreement import TIE, Agreement, TopList
from proofs.fixtures.data.histories import write_histories
from proofs.fixtures.data.taught import (
    differing_files,
    succeed,
    work_of,
    workplace_of,
    write_config,
)
from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.recommending import run_to_the_end
from proofs.ray_data.programs import RayProgram
from proofs.record import Figure
from training import prepare, teach

K = 20
PARTS = 2


def prove(
    *,
    python: str = sys.executable,
    histories: int = 100_000,
    rows: int = 5_000,
    model: str = "smollm2",
    layers: int = 4,
    published_before_kill: int = 1,
) -> Iterator[Figure]:
    """Compares what Ray Data makes with what one machine makes.

    Args:
        python: interpreter of an environment with this project's dependencies and `ray[data]`.
        histories: number of histories to recommend for.
        rows: number of random interactions that the teacher reads.
        model: the LLM, as in `teacher.model`.
        layers: number of first layers of the LLM.
        published_before_kill: number of shards that are complete before a process is killed.

    Raises:
        RuntimeError: a program fails, or takes too long.
    """
    with TemporaryDirectory() as name:
        yield from _recommending(Path(name), python, histories)
    with TemporaryDirectory() as name:
        config = write_config(Path(name), rows, model, layers)
        yield from _teaching(Path(name), python, config, published_before_kill)


def _recommending(folder: Path, python: str, number: int) -> Iterator[Figure]:
    source, alone, by_ray = (folder / name for name in ("in.parquet", "alone.parquet", "by-ray"))
    write_histories(source, number, np.random.default_rng(7))
    yield Figure("time of the command", "s", run_to_the_end(source, alone, K).seconds)
    with RayProgram(python, "recommend_on_ray.py", EXAMPLE, source, by_ray) as program:
        yield Figure("time by Ray Data, with its start", "s", program.wait())
    one, other = (pq.read_table(each).sort_by("user") for each in (alone, by_ray))
    yield Figure("histories", "", other.num_rows, at_least=number, at_most=number)
    others = sum(a != b for a, b in zip(one["user"], other["user"], strict=True))
    yield Figure("other users than the command's", "", others, at_most=0)
    compared = _compared(one, other)
    yield Figure("other items than the command's", "answers", compared.others, at_most=0)
    yield Figure("lists with ties in another order", "answers", compared.ties)
    yield Figure("largest difference of a score", "", compared.difference, at_most=TIE)


def _compared(one: pa.Table, other: pa.Table) -> Agreement:
    agreement = Agreement()
    names = ("item_ids", "scores", "source")
    left, right = (
        map(TopList, *(each[name].to_pylist() for name in names)) for each in (one, other)
    )
    for mine, its in zip(left, right, strict=True):
        agreement.add(mine, its, TIE)
    return agreement


def _teaching(folder: Path, python: str, config: Path, published: int) -> Iterator[Figure]:
    alone, merged, store = work_of(folder, "alone"), work_of(folder, "merged"), folder / "store"
    for work in (alone, merged):
        succeed(prepare.main([str(config), "--work", str(work)]))
    succeed(teach.main([str(config), "--work", str(alone)]))
    with RayProgram(python, "teach_on_ray.py", config, folder / "ray", store, PARTS) as program:
        program.kill_worker_when(lambda: _is_computing(store, published))
        complete = {path: path.read_bytes() for path in store.rglob("*.json")}
        yield Figure("Ray processes killed -9", "", 1)
        yield Figure("shards complete at the kill", "", len(complete))
        program.wait()
    ledgers = set(store.rglob("*.json"))
    yield Figure("shards", "", len(ledgers), at_least=len(complete) + 1)
    changed = sum(path.read_bytes() != content for path, content in complete.items())
    yield Figure("complete shards computed again", "", changed, at_most=0)
    succeed(teach.main([str(config), "--work", str(merged), "--store", str(store)]))
    computed = len(set(store.rglob("*.json")) - ledgers)
    yield Figure("shards computed when merging", "", computed, at_most=0)
    works = (workplace_of(alone), workplace_of(merged))
    differing = differing_files(config, *works)
    yield Figure("files that differ from those of one process", "", differing, at_most=0)


def _is_computing(store: Path, published: int) -> bool:
    """Returns whether `published` shards are complete, and another one is claimed."""
    is_open = any(not claim.with_suffix(".json").exists() for claim in store.rglob("*.claim"))
    return is_open and len([*store.rglob("*.json")]) >= published
