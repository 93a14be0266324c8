"""Writes the figures of a ladder as a CSV file: one metric with its interval per record."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.data.dataset import Split
from training.evaluation.intervals import Interval
from training.evaluation.table import METRICS
from training.ladder.results.measured import Figures, Measured
from training.stage import write_text

COLUMNS = (
    "row",
    "student",
    "teacher",
    "loss",
    "split",
    "targets",
    "metric",
    "mean",
    "low",
    "high",
    "seeds",
    "train_seconds",
    "teacher_tokens",
    "protocol",
    "kind",
    "teacher_free",
    "served",
)


def save_figures(lines: Sequence[Measured], figures: Figures, path: Path) -> None:
    """Writes the figures of `lines`, with their intervals, to the CSV file `path`.

    The file has one record for each line, split, group of next items (all, warm or cold) and
    metric.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerows(_records(line, figures))
    write_text(path, text.getvalue())


def _records(line: Measured, figures: Figures) -> Iterator[list[object]]:
    for split in line.evaluations:
        for targets in line.targets:
            if figures.is_among(targets, line.answered(split), line.protocol).any():
                for metric in METRICS:
                    yield _record(line, figures, split, targets, metric)


def _record(
    line: Measured, figures: Figures, split: Split, targets: str, metric: str
) -> list[object]:
    interval = figures.draws(line, split, targets, metric).interval()
    return [
        line.row,
        line.student,
        line.teacher,
        line.loss,
        split.name.lower(),
        targets,
        metric,
        *interval_cells(interval),
        line.num_runs,
        f"{line.train_seconds:.1f}",
        line.teacher_tokens,
        line.protocol,
        line.kind,
        _yes(line.is_teacher_free),
        _yes(line.kind == "student"),
    ]


def interval_cells(interval: Interval) -> Iterator[str]:
    """Yields mean, low and high end of `interval`.

    Eight decimals, as documents round them to four: with six, a few would be rounded twice and
    differ from the report.
    """
    yield from (f"{each:.8f}" for each in (interval.mean, interval.low, interval.high))


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"
