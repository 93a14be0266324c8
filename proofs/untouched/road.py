"""All programs from `prepare` to `ladder` on one set, as a user calls them, and what they wrote."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.contract.bundle import load_bundle
from export.served_figures import all_rankings
from proofs.record import Figure
from training.cli import say
from training.data.storage import load_dataset
from training.evaluation.yardstick import SELECTION_METRIC
from training.workplace import Workplace

ROWS = ("popularity", "order-aware kNN", "CE", "DLLM2Rec")
ANSWERED = 20  # items of an answer

Run = Callable[[str, Sequence[str]], int]
"""Runs a program, the module of its first argument, with a command line; returns the exit code."""


def run_program(module: str, words: Sequence[str]) -> int:
    """Runs `python -m MODULE WORDS` in a process of its own; returns its exit code."""
    return subprocess.run([sys.executable, "-m", module, *words], check=False).returncode


@dataclass(frozen=True)
class Road:
    """The programs from `prepare` to `ladder` on one set.

    Attributes:
        config: the experiment file, whose name is the experiment's.
        work: folder of all results.
        seeds: seeds of the students in the ladder; empty for its own.
        with_ladder: whether the ladder is run, which takes longest.
        run: runs a program.
    """

    config: Path
    work: Path
    seeds: tuple[int, ...]
    with_ladder: bool = True
    run: Run = run_program

    @property
    def name(self) -> str:
        """Name of the experiment, with which the names of all figures begin."""
        return self.config.stem

    @property
    def workplace(self) -> Workplace:
        """Folders of the experiment."""
        return Workplace(self.work / self.name)

    def figures(self) -> Iterator[Figure]:
        """Runs all programs; yields their exit codes and durations, and what they found.

        After a program that fails, nothing else is run.
        """
        for stage, module, options in self._programs():
            words = [str(self.config), "--work", str(self.work), *options]
            seconds, code = self._performed(stage, module, words)
            yield Figure(f"{self.name}: {stage}: time", "s", seconds)
            yield Figure(f"{self.name}: {stage}: exit code", "", code, at_most=0)
            if code:
                return
        yield from self._size()
        yield from self._of_evaluate()
        yield from self._answer()
        if self.with_ladder:
            yield from self._of_ladder()

    def _programs(self) -> Iterator[tuple[str, str, Sequence[str]]]:
        """Yields each stage's name, its module and its options."""
        seeds = ["--seeds", *map(str, self.seeds)] if self.seeds else []
        rows = ["--students", "sasrec", "--rows", "CE", "DLLM2Rec", "--protocol", "both"]
        reports = ["--out", str(self.work / "reports")]
        yield "prepare", "training.prepare", []
        yield "teach", "training.teach", []
        yield "distill --refit", "training.distill", ["--refit"]
        yield "evaluate", "training.evaluate", []
        yield "export --refit", "export", ["--refit"]
        if self.with_ladder:
            yield "ladder", "training.ladder", [*rows, *seeds, *reports]

    def _performed(self, stage: str, module: str, words: Sequence[str]) -> tuple[float, int]:
        """Runs a program, unless a proof that was stopped has run it in the same folder.

        Returns the seconds that it took, then or now, and its exit code.
        """
        log = self.work / f"{self.name}-seconds.json"
        done: dict[str, float] = json.loads(log.read_text("utf-8")) if log.exists() else {}
        if stage in done:
            return done[stage], 0
        began = time.monotonic()
        code = self.run(module, words)
        seconds = time.monotonic() - began
        if code == 0:
            log.write_text(json.dumps({**done, stage: seconds}), encoding="utf-8")
        return seconds, code

    def _size(self) -> Iterator[Figure]:
        dataset = load_dataset(self.workplace.dataset)
        yield Figure(f"{self.name}: interactions", "", len(dataset.item_indices))
        yield Figure(f"{self.name}: items", "", dataset.catalog.num_items)
        yield Figure(f"{self.name}: users", "", len(dataset.user_ids))

    def _of_evaluate(self) -> Iterator[Figure]:
        """Yields each row of `evaluate`, and what its verdict says of each ranker that it names."""
        path = self.workplace.results / "results.json"
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        say(results["verdict"])
        for each in results["rows"]:
            mean = each["metrics"][SELECTION_METRIC]["mean"]
            yield Figure(f"{self.name}: evaluate: {each['name']}, test", SELECTION_METRIC, mean)
        for each in results["differences"]:
            low, high = each["low"], each["high"]
            word = "above" if low > 0 else "below" if high < 0 else "not shown to differ from"
            name = f"{self.name}: verdict: {word} {each['against']}, by"
            yield Figure(name, each["metric"], each["mean"], low, high)

    def _of_ladder(self) -> Iterator[Figure]:
        """Yields NDCG@20 of `ROWS` on validation and test, and on test when refitted."""
        path = self.work / "reports" / f"{self.name}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                if (line["metric"], line["targets"]) != (SELECTION_METRIC, "all"):
                    continue
                if line["row"] in ROWS:
                    refitted = ", refitted" if line["protocol"] == "refit" else ""
                    name = f"{self.name}: {line['row']}{refitted}, {line['split']}"
                    bounds = (float(line[each]) for each in ("mean", "low", "high"))
                    yield Figure(name, SELECTION_METRIC, *bounds)

    def _answer(self) -> Iterator[Figure]:
        """Yields how many items the service's code answers to the history of the first item."""
        bundle = load_bundle(self.workplace.bundle)
        answers = all_rankings(bundle)([1], ANSWERED)
        expected = min(ANSWERED, len(bundle.items) - 1)
        for graph, answer in zip(("request", "ranking graph"), answers, strict=True):
            name = f"{self.name}: items of an answer from the bundle, {graph}"
            yield Figure(name, "", len(answer), at_least=expected)
