"""Measures the search that `export` chooses, through the service's own student."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from proofs.search_cost.files import CatalogFiles, K
from training.provenance import commit

OURS = "this project"


@dataclass(frozen=True)
class Cost:
    """Times and quality of a search.

    Attributes:
        milliseconds: CPU time of every answer.
        recall: share of the best `K` items that it finds, mean of the queries.
        ndcg: its NDCG where the best `K` items are the relevant ones; None: not measured.
        build_seconds: CPU time to build it.
        memory: memory in MiB by what it is; empty: not measured.
    """

    milliseconds: Sequence[float]
    recall: float
    ndcg: float | None
    build_seconds: float
    memory: Mapping[str, float] = field(default_factory=dict)


def build_ours(files: CatalogFiles, experiment: Path) -> None:
    """Builds the bundle of `files`, unless this commit has; `experiment`: the student's folder."""
    built = json.loads(files.built.read_text()) if files.built.exists() else {}
    if built.get("commit") != commit():
        _run("proofs.search_cost.bundle", experiment, files.folder)


def our_cost(files: CatalogFiles) -> Cost:
    """Measures answers from the bundle of `files`."""
    lines = _run(
        "benchmarks.load.served_bundle", files.bundle, files.histories_path, K
    ).splitlines()
    told = json.loads(lines[-1])
    built = json.loads(files.built.read_text())
    table = np.load(files.table, mmap_mode="r", allow_pickle=False)
    queries, least = (
        np.load(files.queries, allow_pickle=False),
        np.load(files.least, allow_pickle=False),
    )
    are_best = [
        table[items] @ query >= low
        for items, query, low in zip(told["lists"], queries, least, strict=True)
    ]
    memory = {
        "resident": told["resident_mib"],
        "of it anonymous": told["anonymous_mib"],
        "most resident while it answers": told["peak_mib"],
        "peak of the export": built["peak_mib"],
    }
    return Cost(told["milliseconds"], recall(are_best), ndcg(are_best), built["seconds"], memory)


def recall(are_best: Sequence[NDArray[np.bool_]]) -> float:
    """Returns the share of the best `K` items; `are_best`: for each item of a list, if it is."""
    return float(np.mean([each.sum() / K for each in are_best]))


def ndcg(are_best: Sequence[NDArray[np.bool_]]) -> float:
    """Returns the mean NDCG where the best `K` items are relevant; `are_best`: as for `recall`."""
    weights = 1 / np.log2(np.arange(K) + 2)
    gains = [weights[: len(each)][each].sum() for each in are_best]
    return float(np.mean(gains) / weights.sum())


def _run(module: str, *words: Any) -> str:
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{module}: {done.stderr[-500:]}")
    return done.stdout
