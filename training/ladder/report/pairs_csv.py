"""Writes the differences between pairs of rows as a CSV file: one difference per record.

A student's row is compared with every row that uses no LLM teacher, and with the rows that `STEPS`
pairs it with. It is also compared with the same row of the teacher `fusion-without-titles`. Rows of
other students are left out.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from training.ladder.plan.rows import STEPS
from training.ladder.report.result_csv import interval_cells
from training.ladder.results.measured import Figures, Measured
from training.settings.teacher import TITLELESS_KIND
from training.stage import write_text

COLUMNS = (
    "row",
    "student",
    "teacher",
    "against",
    "against_student",
    "protocol",
    "split",
    "targets",
    "metric",
    "difference",
    "low",
    "high",
    "seeds",
)
METRICS = ("NDCG@20", "HR@20")


def save_pairs(lines: Sequence[Measured], figures: Figures, path: Path) -> None:
    """Writes a CSV file to `path`: one record for each compared pair of lines and each metric.

    Each split and each group of next items has its own records.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        for other in lines:
            if _are_compared(line, other):
                writer.writerows(_records(line, other, figures))
    write_text(path, text.getvalue())


def _are_compared(line: Measured, other: Measured) -> bool:
    """Returns whether the file has records of the difference `line - other`.

    `line` must be a student's, and must share the protocol with `other`; if both have seeds, also
    a seed. The head of this module says which other lines it is compared with.
    """
    is_other = line is not other and line.protocol == other.protocol
    if not line.student or not is_other or not line.can_be_compared(other):
        return False
    is_titles = other.kind == "control" and not other.student
    if other.student not in ("", line.student) or is_titles:
        return False
    is_step = (line.row, other.row) in STEPS.values() and other.teacher in ("", line.teacher)
    is_titles_part = line.row == other.row and other.teacher == TITLELESS_KIND != line.teacher
    return other.is_teacher_free or is_step or is_titles_part


def _records(line: Measured, other: Measured, figures: Figures) -> Iterator[list[object]]:
    shared = set(line.seeds) & set(other.seeds) if other.seeds else line.seeds
    for split in (each for each in line.evaluations if each in other.evaluations):
        compared = np.intersect1d(line.answered(split), other.answered(split))
        for targets in line.targets:
            if not figures.is_among(targets, compared, line.protocol).any():
                continue
            for metric in METRICS:
                more, less = figures.pair(line, other, targets, metric, split)
                found = more.minus(less).interval()
                yield [
                    *line.key,
                    other.row,
                    other.student,
                    line.protocol,
                    split.name.lower(),
                    targets,
                    metric,
                    *interval_cells(found),
                    len(shared) or 1,
                ]
