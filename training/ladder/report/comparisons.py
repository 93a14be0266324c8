"""Makes a report's sections that compare students with teachers, and teachers in pairs."""

from collections.abc import Iterator, Sequence

from training.data.dataset import Split
from training.evaluation.intervals import Interval, percent
from training.evaluation.row_names import (
    BONUSES_ROW,
    CE_ROW,
    COLD_ROW,
    DISTILLED_ROW,
    DISTRIBUTIONS_ONLY_ROW,
    DISTRIBUTIONS_ROW,
    EMBEDDINGS_ROW,
    PAIRS_ROW,
    PLAIN_PAIRS_ROW,
)
from training.ladder.plan.rows import ITEM_ROW, NEIGHBOURS_ROW, ORDERED_ROW
from training.ladder.report.tables import as_table, outcome, signed
from training.ladder.results.measured import Figures, Measured
from training.ladder.results.part_gains import METRIC

WHOLE_ROWS = (DISTILLED_ROW, COLD_ROW, PAIRS_ROW, BONUSES_ROW, DISTRIBUTIONS_ROW)
PAIRED_ROWS = (*WHOLE_ROWS, DISTRIBUTIONS_ONLY_ROW, EMBEDDINGS_ROW)


def against_others(lines: Sequence[Measured], figures: Figures) -> str:
    """Returns the report's section that compares students with teachers and kNN baselines.

    Teachers are compared with each other and with kNN baselines, too. Returns "" if there is
    nothing to compare.
    """
    cells = [
        [
            f"{line.student} {line.row}".strip(),
            line.teacher if line.student else "",
            other.row,
            _validation_difference(line, other, figures),
            signed(difference_of(line, other, figures, Split.TEST)),
        ]
        for place, line in enumerate(lines)
        for other in (lines[:place] if line.is_teacher else lines)
        if _is_compared(line) and _is_alternative(other)
    ]
    table = as_table(("who", "taught by", "against", f"validation {METRIC}", METRIC), cells)
    note = "On the examples that both have answered."
    return f"## Against teachers and neighbours\n\n{note}\n\n{table}" if cells else ""


def _is_compared(line: Measured) -> bool:
    return line.row in (CE_ROW, PLAIN_PAIRS_ROW, *WHOLE_ROWS) or line.is_teacher


def _is_alternative(line: Measured) -> bool:
    """Returns whether `line` is a teacher or a kNN baseline, which a shop could serve instead."""
    return line.is_teacher or line.row in (NEIGHBOURS_ROW, ORDERED_ROW, ITEM_ROW)


def _validation_difference(line: Measured, other: Measured, figures: Figures) -> str:
    """Formats NDCG@20 of `line` minus that of `other` on the validation examples.

    Returns "" if `line` is a refit, because a refit is trained on the validation examples.
    """
    if line.protocol == "refit":
        return ""
    return signed(difference_of(line, other, figures, Split.VALIDATION))


def difference_of(line: Measured, other: Measured, figures: Figures, split: Split) -> Interval:
    """Returns NDCG@20 of `line` minus that of `other`, with its interval.

    Only the seeds and the examples of `split` that both lines have are used.
    """
    more, less = figures.pair(line, other, "all", METRIC, split)
    return more.minus(less).interval()


def between_teachers(lines: Sequence[Measured], figures: Figures) -> str:
    """Returns the report's section that compares teachers in pairs.

    Each pair is compared by a kind of student that both teachers taught. Returns "" if no student
    was taught by two teachers.
    """
    cells = [_teachers_cells(line, other, figures) for line, other in pairs_of_teachers(lines)]
    if not cells:
        return ""
    headings = ("student", "row", "taught by", "over", "seeds", METRIC, "relative", "warm", "")
    note = f"The same student, over the seeds that both have; of warm targets relative {METRIC}."
    return f"## What another teacher is worth\n\n{note}\n\n{as_table(headings, cells)}"


def pairs_of_teachers(lines: Sequence[Measured]) -> Iterator[tuple[Measured, Measured]]:
    """Yields pairs of lines that differ only in the teacher and share a seed.

    Only `PAIRED_ROWS` are paired. The second line of a pair comes earlier in `lines`.
    """
    for place, line in enumerate(lines):
        for other in lines[:place] if line.row in PAIRED_ROWS else ():
            is_same_row = (line.student, line.row) == (other.student, other.row)
            if is_same_row and line.can_be_compared(other):
                yield line, other


def _teachers_cells(line: Measured, other: Measured, figures: Figures) -> list[str]:
    more, less = figures.pair(line, other, "all", METRIC)
    warm_more, warm_less = figures.pair(line, other, "warm", METRIC)
    difference = more.minus(less).interval()
    return [
        line.student,
        line.row,
        line.teacher,
        other.teacher,
        str(len(set(line.seeds) & set(other.seeds))),
        signed(difference),
        percent(more.relative_to(less).interval()),
        percent(warm_more.relative_to(warm_less).interval()),
        outcome(difference),
    ]
