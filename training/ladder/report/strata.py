"""Makes a report's section on strata: NDCG@20 of the main rows on parts of the test examples."""

from collections.abc import Iterator, Sequence

from training.data.dataset import Split
from training.evaluation.row_names import (
    BONUSES_ROW,
    CE_ROW,
    COLD_ROW,
    DISTILLED_ROW,
    DISTRIBUTIONS_ROW,
    PLAIN_PAIRS_ROW,
)
from training.ladder.plan.rows import (
    HISTORY_TITLES_ROW,
    ITEM_ROW,
    NEIGHBOURS_ROW,
    ORDERED_ROW,
)
from training.ladder.plan.witnesses import WITNESSES
from training.ladder.report.tables import as_table, bracketed
from training.ladder.results.measured import Figures, Measured
from training.ladder.results.part_gains import METRIC
from training.ladder.results.strata import Division, divisions

STUDENTS_ROWS = (
    *(CE_ROW, PLAIN_PAIRS_ROW),
    *(DISTILLED_ROW, COLD_ROW, BONUSES_ROW, DISTRIBUTIONS_ROW),
)
ROWS = (NEIGHBOURS_ROW, ORDERED_ROW, ITEM_ROW, HISTORY_TITLES_ROW, *STUDENTS_ROWS)


def by_stratum(lines: Sequence[Measured], figures: Figures) -> str:
    """Returns the report's section on strata: one table of test NDCG@20 per division.

    Returns "" if no row of `ROWS` answered all test examples.
    """
    shown = [line for line in lines if _is_shown(line, figures)]
    if not shown:
        return ""
    note = (
        f"Test {METRIC} on parts of the examples, of rows that answered all of them; n is the "
        "number of examples of a part. Cold items are those of the tables above."
    )
    fitted_on = figures.dataset.under(shown[0].protocol)
    tables = [_table(each, shown, figures) for each in divisions(fitted_on)]
    return "\n\n".join(["## By stratum", note, *tables])


def _is_shown(line: Measured, figures: Figures) -> bool:
    answered_all = len(line.answered(Split.TEST)) == figures.count(Split.TEST, "all")
    return answered_all and (
        line.row in (*ROWS, *WITNESSES) or line.is_teacher or bool(line.mixture)
    )


def _table(division: Division, lines: Sequence[Measured], figures: Figures) -> str:
    """Returns a division as a table: a row per line, a column per stratum with test examples."""
    rows = figures.dataset.example_rows(Split.TEST)
    sizes = {name: int(chosen[rows].sum()) for name, chosen in division.strata.items()}
    present = [name for name, size in sizes.items() if size]
    headings = ("row", "student", "teacher", *(f"{name} (n = {sizes[name]:,})" for name in present))
    cells = [
        [line.row, line.student, line.teacher, *_cells(line, division, present, figures)]
        for line in lines
    ]
    return f"### {division.title}\n\n{as_table(headings, cells)}"


def _cells(
    line: Measured, division: Division, names: Sequence[str], figures: Figures
) -> Iterator[str]:
    for name in names:
        yield bracketed(figures.of_part(line, name, division.strata[name], METRIC).interval())
