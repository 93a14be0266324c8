"""Computes the gain of each part: NDCG@20 of a row with the part minus that of a row without."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.evaluation.intervals import Interval
from training.evaluation.yardstick import SELECTION_METRIC
from training.ladder.plan.rows import STEPS
from training.ladder.results.measured import Figures, Measured, students_of

METRIC = SELECTION_METRIC


@dataclass(frozen=True)
class PartGain:
    """The gain in test NDCG@20 of a row with a part over the row without it.

    Attributes:
        part: name of the part, a key of `STEPS`.
        teacher: kind of the teacher; empty if neither row has a teacher.
        difference: NDCG@20 of the row with the part minus that of the row without it.
        relative: the difference, divided by NDCG@20 of the row without the part.
    """

    part: str
    teacher: str
    difference: Interval
    relative: Interval


def part_gains(student: str, lines: Sequence[Measured], figures: Figures) -> Iterator[PartGain]:
    """Yields the gain of each part of `STEPS` for one student, teacher by teacher.

    A part is left out if one of its two rows is not measured, or if the two share no seed.
    """
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
    """Returns whether `part_gains` yields a gain for at least one student of `lines`."""
    return any(True for student in students_of(lines) for _ in part_gains(student, lines, figures))
