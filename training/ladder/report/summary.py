"""Makes a report's first section: a table of students, the best baseline and the best teacher."""

from collections.abc import Sequence

from training.data.dataset import Split
from training.evaluation.intervals import percent
from training.evaluation.row_names import (
    BONUSES_ROW,
    CE_ROW,
    DISTILLED_ROW,
    PAIRS_ROW,
    PLAIN_PAIRS_ROW,
)
from training.ladder.report.comparisons import difference_of
from training.ladder.report.tables import as_table, figure_of, outcome, signed
from training.ladder.results.measured import Figures, Measured, students_of
from training.ladder.results.part_gains import METRIC

HEADINGS = ("ranker", METRIC, "HR@20", f"{METRIC} over {CE_ROW}", "", f"{METRIC} over %s", "")
NOTE = (
    "The baseline and the teacher are those with the best test figure, in their favour. Of each "
    f"student the table has `{CE_ROW}`, which has no teacher, and `{DISTILLED_ROW}`, the whole "
    "method."
)
PAIRS_NOTE = (
    f" Rows with a pair bonus add to it what counts of item pairs tell, and are compared with "
    f"`{PLAIN_PAIRS_ROW}`."
)
COUNTERPARTS = {
    DISTILLED_ROW: CE_ROW,
    PAIRS_ROW: PLAIN_PAIRS_ROW,
    BONUSES_ROW: PLAIN_PAIRS_ROW,
}
"""Maps each row with a teacher to the row that it is compared with."""


def summary(lines: Sequence[Measured], figures: Figures, picture: str) -> str:
    """Returns the report's first section, which compares students, best baseline and best teacher.

    Returns "" if no student is measured with and without a teacher. The file name of the plot
    begins with `picture`.
    """
    students = [line for name in students_of(lines) for line in _pair(name, lines)]
    if not students:
        return ""
    rankers = [line for line in lines if line.kind == "ranker" and not line.mixture]
    baseline = _best(rankers, figures)
    teacher = _best([line for line in lines if line.is_teacher], figures)
    shown = [*filter(None, (baseline, teacher)), *students]
    cells = [_cells(line, shown, baseline, figures) for line in shown]
    headings = [each.replace("%s", baseline.row if baseline else "") for each in HEADINGS]
    has_pairs = any(line.row == PLAIN_PAIRS_ROW for line in students)
    note = NOTE + PAIRS_NOTE if has_pairs else NOTE
    plot = f"![quality against cost]({picture}-cost.png)"
    return f"## In short\n\n{as_table(headings, cells)}\n\n{note}\n\n{plot}"


def _pair(student: str, lines: Sequence[Measured]) -> list[Measured]:
    """Returns a student's lines with their counterparts, those with a teacher by its first teacher.

    A line is left out if its counterpart is missing, and the other way round.
    """
    by_row = {line.row: line for line in reversed(lines) if line.student == student}
    pairs = [
        (alone, taught) for taught, alone in COUNTERPARTS.items() if {alone, taught} <= {*by_row}
    ]
    return [by_row[row] for row in dict.fromkeys(row for pair in pairs for row in pair)]


def _best(lines: Sequence[Measured], figures: Figures) -> Measured | None:
    """Returns the line with the best test NDCG@20; None if there is no line."""

    def quality(line: Measured) -> float:
        return figures.draws(line, Split.TEST, "all", METRIC).interval().mean

    return max(lines, key=quality, default=None)


def _cells(
    line: Measured, shown: Sequence[Measured], baseline: Measured | None, figures: Figures
) -> list[str]:
    name = f"{line.student} {line.row}".strip()
    return [
        f"**{name}**" if line.row in COUNTERPARTS else name,
        figure_of(line, figures, "all", METRIC),
        figure_of(line, figures, "all", "HR@20"),
        *_over_its_own_kind(line, shown, figures),
        *_over_the_baseline(line, baseline, figures),
    ]


def _over_its_own_kind(
    line: Measured, shown: Sequence[Measured], figures: Figures
) -> tuple[str, str]:
    """Formats the relative gain of a line over its counterpart of the same student in `shown`.

    Returns two strings: the gain in per cent with its interval, and `helps`, `**hurts**` or `not
    shown`. Both are empty if `line` has no counterpart, or if the two lines share no seed.
    """
    counterpart = COUNTERPARTS.get(line.row), line.student
    alone = [each for each in shown if (each.row, each.student) == counterpart]
    if not alone or not line.can_be_compared(alone[0]):
        return "", ""
    more, less = figures.pair(line, alone[0], "all", METRIC)
    return percent(more.relative_to(less).interval()), outcome(more.minus(less).interval())


def _over_the_baseline(
    line: Measured, baseline: Measured | None, figures: Figures
) -> tuple[str, str]:
    """Formats a line's difference from the baseline in test NDCG@20, and its sign in words.

    The second string is `above`, `below`, or `not shown` if the interval contains 0. Both strings
    are empty if `line` is the baseline, or if `baseline` is None.
    """
    if baseline is None or line is baseline:
        return "", ""
    difference = difference_of(line, baseline, figures, Split.TEST)
    if not difference.excludes_zero:
        return signed(difference), "not shown"
    return signed(difference), "above" if difference.low > 0 else "below"
