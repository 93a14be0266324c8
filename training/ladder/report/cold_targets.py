"""Makes a report's section on cold targets, which are examples whose next item is cold.

The section also has the gains on warm targets.
"""

from collections.abc import Iterator, Sequence

from training.data.dataset import Split
from training.evaluation.intervals import percent
from training.evaluation.row_names import (
    BONUSES_ROW,
    CE_ROW,
    COLD_ROW,
    DISTILLED_ROW,
    PAIRS_ROW,
    PLAIN_PAIRS_ROW,
)
from training.evaluation.yardstick import SELECTION_METRIC as METRIC
from training.ladder.plan.rows import HISTORY_TITLES_ROW, TITLES_ROW
from training.ladder.report.tables import as_table, figure_of, signed
from training.ladder.results.measured import NEW, Figures, Measured

SHOWN_ROWS = {
    DISTILLED_ROW: (CE_ROW, ""),
    COLD_ROW: (CE_ROW, DISTILLED_ROW),
    BONUSES_ROW: (PLAIN_PAIRS_ROW, PAIRS_ROW),
}
"""Maps each row that is shown to the row without a teacher, and to the one without a cold bonus."""
CUTOFFS = ("HR@1", "HR@5", "HR@10", "HR@20", "NDCG@20")
BY_TITLES = (TITLES_ROW, HISTORY_TITLES_ROW, "teacher titles")
HEADINGS = (
    *("student", "row", "teacher", f"{CE_ROW} cold HR@20"),
    *("cold HR@20", f"over {TITLES_ROW}", f"{NEW} HR@20", f"over {TITLES_ROW}"),
    *(f"warm {METRIC} over {row}" for row in (CE_ROW, DISTILLED_ROW)),
)


def cold_targets(lines: Sequence[Measured], figures: Figures) -> str:
    """Returns the report's section on cold targets.

    Returns "" if no test example has a cold next item, or if DLLM2Rec, CE or a ranking by titles is
    not measured.
    """
    protocol = lines[0].protocol
    if not figures.count(Split.TEST, "cold", protocol):
        return ""
    cells = list(_students_cells(lines, figures))
    if not cells:
        return ""
    note = (
        f"{figures.count(Split.TEST, NEW, protocol):,} of the cold ones are new: no validation "
        f"example, from which `{COLD_ROW}` learns, asks for them or has them in its history."
    )
    against = _against_titles(lines, figures)
    if any(line.row == BONUSES_ROW for line in lines):
        note += f" `{BONUSES_ROW}` is compared with rows that have the pair bonus, too."
    return "\n\n".join(["## Cold targets", note, as_table(HEADINGS, cells), *against])


def _students_cells(lines: Sequence[Measured], figures: Figures) -> Iterator[list[str]]:
    """Yields the rows of the section's first table as lists of cells, one for each DLLM2Rec line.

    Lines with a cold bonus are included; lines without a CE line or a ranking by titles to
    compare with are left out. A row has HR@20 on cold targets and the difference from a ranking by
    the same teacher's title embeddings. It also has relative gains in NDCG@20 on warm targets.
    """
    by_key = {line.key: line for line in lines}
    for line in lines:
        alone, unplaced = SHOWN_ROWS.get(line.row, ("", ""))
        baseline = by_key.get((alone, line.student, ""))
        titles = by_key.get((TITLES_ROW, "", line.teacher))
        if baseline is None or titles is None:
            continue
        without = by_key.get((unplaced, line.student, line.teacher))
        yield [
            line.student,
            line.row,
            line.teacher,
            figure_of(baseline, figures, "cold", "HR@20"),
            *_over_titles(line, titles, figures, "cold"),
            *_over_titles(line, titles, figures, NEW),
            _warm_gain(line, baseline, figures),
            _warm_gain(line, without, figures),
        ]


def _against_titles(lines: Sequence[Measured], figures: Figures) -> Iterator[str]:
    """Yields a note, then a table that compares DLLM2Rec with rankings by titles.

    The table has the difference on cold targets for each metric of `CUTOFFS`.
    """
    cells = [
        [
            line.student,
            line.row,
            line.teacher,
            other.row,
            other.teacher,
            *_gaps(line, other, figures),
        ]
        for line in lines
        for other in lines
        if line.row in SHOWN_ROWS and other.row in BY_TITLES
    ]
    yield (
        "Cold targets again, at other cutoffs too: how far a student is above those who rank by "
        "titles alone, as the teachers' LLMs see titles, or the first layers of one."
    )
    headings = ("student", "row", "teacher", "against", "titles of", *CUTOFFS)
    yield as_table(headings, cells)


def _gaps(line: Measured, other: Measured, figures: Figures) -> Iterator[str]:
    """Yields the difference `line - other` on cold targets in each metric of `CUTOFFS`, as text."""
    for metric in CUTOFFS:
        more, less = figures.pair(line, other, "cold", metric)
        yield signed(more.minus(less).interval())


def _over_titles(
    line: Measured, titles: Measured, figures: Figures, targets: str
) -> tuple[str, str]:
    """Formats HR@20 of `line` on `targets`, and its difference from HR@20 of `titles`.

    `targets` names a group of next items. Both strings are empty if no test example has a next item
    of this group.
    """
    if not figures.count(Split.TEST, targets, line.protocol):
        return "", ""
    more, less = figures.pair(line, titles, targets, "HR@20")
    return figure_of(line, figures, targets, "HR@20"), signed(more.minus(less).interval())


def _warm_gain(line: Measured, other: Measured | None, figures: Figures) -> str:
    """Returns the relative gain in NDCG@20 of `line` over `other` on warm targets, as text.

    Returns "" if `other` is None or the two lines share no seed.
    """
    if other is None or not line.can_be_compared(other):
        return ""
    more, less = figures.pair(line, other, "warm", METRIC)
    return percent(more.relative_to(less).interval())
