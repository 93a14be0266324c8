"""Processes of `teach --part` on one store, all but the last killed while they compute."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from proofs.fixtures.data.taught import TIMEOUT_SECONDS, succeed, work_of, workplace_of
from proofs.record import Figure
from training import teach
from training.cli import say

TAKEOVER_SECONDS = 5.0
LOOK_SECONDS = 0.01


class KilledCrew:
    """Processes of `teach --part` on one store, all but the last killed while they compute."""

    def __init__(
        self, folder: Path, config: Path, alone: Path, processes: int, published: int
    ) -> None:
        """Stores the settings of the processes.

        Args:
            folder: parent folder of the store and of the processes' work folders.
            config: experiment file.
            alone: work folder with the dataset, which the processes get copies of.
            processes: number of processes.
            published: number of shards that a process has completed before it is killed.
        """
        self.store = folder / "store"
        self._folder, self._config, self._alone = folder, config, alone
        self._processes, self._published = processes, published
        self._lost: list[int] = []  # of each killed process
        self._kept: dict[Path, bytes] = {}  # ledgers that were complete at the kills

    def run(self, *, last_apart: bool) -> None:
        """Runs the processes until the last has completed all shards.

        `last_apart`: whether the last one starts with the others; if not, it begins in this process
        after the kills.
        """
        count = self._processes
        numbers = range(1, count + 1 if last_apart else count)
        running = [self._start(number) for number in numbers]
        try:
            for number, process in zip(range(1, count), running, strict=False):
                self._kill(f"{number}/{count}", process)
            last = (
                running[-1].wait(TIMEOUT_SECONDS) if last_apart else teach.main(self._words(count))
            )
            succeed(last)
        finally:
            for process in running:
                process.kill()
                process.wait()

    def figures(self) -> Iterable[Figure]:
        """Yields the number of shards, and how many of them were done again."""
        shards, killed = len(self._ledgers()), len(self._lost)
        yield Figure("shards", "", shards)
        yield Figure("processes killed -9", "", killed, at_least=self._processes - 1)
        yield Figure("shards complete at the last kill", "", len(self._kept), at_most=shards - 1)
        yield Figure("shards done again, by a killed process", "", max(self._lost), at_most=1)
        changed = sum(path.read_bytes() != content for path, content in self._kept.items())
        yield Figure("complete shards computed again", "", changed, at_most=0)

    def merged(self) -> int:
        """Makes the knowledge from the store; returns the number of shards computed for it."""
        before = self._ledgers()
        work = self._with_dataset("merged")
        succeed(teach.main([str(self._config), "--work", str(work), "--store", str(self.store)]))
        return len(self._ledgers() - before)

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # they decide the last digits
        command = [sys.executable, "-m", "training.teach", *self._words(number)]
        return subprocess.Popen(command, env={**os.environ, **threads})

    def _words(self, number: int) -> Sequence[str]:
        """Returns the arguments of `teach` for a part, which gets a work folder of its own."""
        work = self._with_dataset(f"part-{number}")
        part = ["--part", f"{number}/{self._processes}", "--store", str(self.store)]
        takeover = ["--takeover-seconds", str(TAKEOVER_SECONDS)]
        return [str(self._config), "--work", str(work), *part, *takeover]

    def _with_dataset(self, name: str) -> Path:
        work = work_of(self._folder, name)
        shutil.copytree(workplace_of(self._alone).dataset, workplace_of(work).dataset)
        return work

    def _kill(self, part: str, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (self._open(part) and self._completed_by(part) >= self._published):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"part {part} was not seen computing, exit {process.poll()}")
            time.sleep(LOOK_SECONDS)
        process.kill()
        process.wait()
        self._lost.append(self._open(part))
        self._kept |= {ledger: ledger.read_bytes() for ledger in self._ledgers()}
        say(f"killed part {part}: {len(self._ledgers())} shards are complete")

    def _open(self, part: str) -> int:
        """Returns the number of shards that `part` has claimed and not completed."""
        claims = {
            claim for claim in self.store.rglob("*.claim") if _record(claim).get("part") == part
        }
        return sum(not claim.with_suffix(".json").exists() for claim in claims)

    def _completed_by(self, part: str) -> int:
        return sum(_record(ledger).get("part") == part for ledger in self._ledgers())

    def _ledgers(self) -> set[Path]:
        return set(self.store.rglob("*.json"))


def _record(path: Path) -> Mapping[str, object]:
    record: Mapping[str, object] = json.loads(path.read_bytes())
    return record
