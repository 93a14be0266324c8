"""Steps: what each part of the method is worth, between two rows of one student."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.evaluation.intervals import Interval
from training.evaluation.yardstick import SELECTION_METRIC
from training.ladder.plan.rows import STEPS
from training.ladder.results.measured import Figures, Measured

METRIC = SELECTION_METRIC


@dataclass(frozen=True)
class PartGain:
    """The difference that a part makes in test NDCG@20, and what it is to the row without it.

    `teacher` is that of the rows that have one.
    """

    part: str
    teacher: str
    difference: Interval
    relative: Interval


def part_gains(student: str, lines: Sequence[Measured], figures: Figures) -> Iterator[PartGain]:
    """Each part of `STEPS` that was measured, of one teacher after the other."""
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
