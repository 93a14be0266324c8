"""Processes of `teach --part` on one store, and the titles that an LLM wrote for them."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proofs.fixtures.data.taught import TIMEOUT_SECONDS, succeed, work_of
from training import prepare


def run_parts(folder: Path, config: Path, parts: int, store: Path) -> None:
    """Runs all parts at once, each with a work folder of its own, until all shards are complete.

    Raises:
        RuntimeError: a part fails.
        subprocess.TimeoutExpired: a part takes too long.
    """
    running = []
    try:
        for number in range(1, parts + 1):
            work = prepared(folder, config, f"part-{number}")
            part = ["--part", f"{number}/{parts}", "--store", str(store)]
            words = [str(config), "--work", str(work), *part]
            running.append(subprocess.Popen([sys.executable, "-m", "training.teach", *words]))
        for process in running:
            succeed(process.wait(TIMEOUT_SECONDS))
    finally:
        for process in running:
            process.kill()
            process.wait()


def prepared(folder: Path, config: Path, name: str) -> Path:
    """Prepares the dataset of `config` in a work folder of its own; returns the work folder."""
    work = work_of(folder, name)
    succeed(prepare.main([str(config), "--work", str(work)]))
    return work


Written = Mapping[str, tuple[NDArray[np.str_], NDArray[np.float16]]]
"""Titles of each shard and their embeddings, by the name of the shard's file."""


def written(work: Path) -> Written:
    """Reads all titles that the LLM wrote for the teacher in a work folder."""
    found = {}
    for path in sorted(work.rglob("texts-*.npz")):
        with np.load(path, allow_pickle=False) as file:
            found[path.name] = (file["texts"], file["embeddings"])
    return found
