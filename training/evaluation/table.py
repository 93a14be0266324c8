"""Writes the table of results: one row per ranker, with the mean of each metric over its runs.

A ranker with several runs, one per seed, also has the standard deviation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from training.evaluation.yardstick import CUTOFFS, Evaluation

METRICS = tuple(f"{name}@{k}" for name in ("HR", "NDCG") for k in CUTOFFS)


@dataclass(frozen=True)
class ResultRow:
    """One ranker's row in the table of results: its metrics on the same examples in each run.

    Attributes:
        name: name of the ranker.
        evaluations: for a student, one evaluation per seed; for any other ranker, only one.
    """

    name: str
    evaluations: tuple[Evaluation, ...]

    @property
    def num_examples(self) -> int:
        """Number of examples that the ranker was measured on."""
        return len(self.evaluations[0].rows)

    def mean(self, metric: str) -> float:
        """Returns the mean of a metric, such as `NDCG@20`, over the runs."""
        return fmean(each.metrics[metric] for each in self.evaluations)

    def spread(self, metric: str) -> float | None:
        """Returns the sample standard deviation of a metric over the runs; None for one run."""
        if len(self.evaluations) < 2:
            return None
        return stdev(each.metrics[metric] for each in self.evaluations)

    def cells(self) -> list[str]:
        """Returns the cells of the row as text, in the order of `HEADINGS`."""
        return [self.name, f"{self.num_examples:,}", *(self._figure(each) for each in METRICS)]

    def as_json(self) -> Mapping[str, Any]:
        """Returns the row as a JSON object.

        The object has the mean and standard deviation of each metric over the runs, and the metrics
        of each run.
        """
        metrics = {each: {"mean": self.mean(each), "sd": self.spread(each)} for each in METRICS}
        runs = [each.metrics for each in self.evaluations]
        return {"name": self.name, "examples": self.num_examples, "metrics": metrics, "runs": runs}

    def _figure(self, metric: str) -> str:
        spread = self.spread(metric)
        mean = f"{self.mean(metric):.4f}"
        return mean if spread is None else f"{mean} ± {spread:.4f}"


HEADINGS = ["", "examples", *METRICS]


def as_text(rows: Sequence[ResultRow]) -> str:
    """Formats the table of results as text with aligned columns, for a terminal."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_markdown(rows: Sequence[ResultRow]) -> str:
    """Formats the table of results in Markdown."""
    rule = ["---", *("---:" for _ in HEADINGS[1:])]
    lines = [HEADINGS, rule, *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def save_results(
    rows: Sequence[ResultRow], facts: Mapping[str, Any], folder: Path, verdict: str = ""
) -> None:
    """Writes `results.json` and `results.md` into `folder`, which must exist.

    Args:
        rows: rows of the table.
        facts: JSON values by name, such as commit and dataset.
        folder: folder of both files.
        verdict: sentence below the table; empty for none.
    """
    closing = f"\n{verdict}\n" if verdict else ""
    content = {**facts, "verdict": verdict, "rows": [row.as_json() for row in rows]}
    text = f"{as_markdown(rows)}\n{closing}"
    (folder / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(text, encoding="utf-8")
