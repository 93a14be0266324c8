"""Gains of the method's parts: differences between two rows of one student."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.evaluation.intervals import Interval
from training.evaluation.yardstick import SELECTION_METRIC
from training.ladder.plan.rows import STEPS
from training.ladder.results.measured import Figures, Measured, students_of

METRIC = SELECTION_METRIC


@dataclass(frozen=True)
class PartGain:
    """The difference that a part makes in test NDCG@20, absolute and relative to the row without.

    Attributes:
        part: a name of `STEPS`.
        teacher: of the rows that have one.
    """

    part: str
    teacher: str
    difference: Interval
    relative: Interval


def part_gains(student: str, lines: Sequence[Measured], figures: Figures) -> Iterator[PartGain]:
    """The gain of each part of `STEPS` whose two rows are measured, teacher by teacher."""
    own = [line for line in lines if line.student == student]
    for teacher in dict.fromkeys(line.teacher for line in own):
        by_row = {line.row: line for line in own if line.teacher in ("", teacher)}
        for part, rows in STEPS.items():
            pair = [by_row[row] for row in rows if row in by_row]
            if len(pair) < len(rows) or not pair[0].can_be_compared(pair[1]):
                continue
            if teacher in {line.teacher for line in pair}:
                more, less = figures.pair(pair[0], pair[1], "all", METRIC)
                difference, relative = more.minus(less), more.relative_to(less)
                yield PartGain(part, teacher, difference.interval(), relative.interval())


def has_part_gains(lines: Sequence[Measured], figures: Figures) -> bool:
    """Whether any part has a gain; a few rows may have no two that can be compared."""
    return any(True for student in students_of(lines) for _ in part_gains(student, lines, figures))
