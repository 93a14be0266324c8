"""Cold targets in a report: what students find of items that no one has touched, and the price."""

from collections.abc import Iterator, Sequence

from training.data.dataset import Split
from training.evaluation.row_names import CE_ROW, COLD_ROW, DISTILLED_ROW
from training.evaluation.yardstick import SELECTION_METRIC as METRIC
from training.ladder.plan.rows import HISTORY_TITLES_ROW, TITLES_ROW
from training.ladder.report.tables import as_table, figure_of, percent, signed
from training.ladder.results.measured import NEW, Figures, Measured

CUTOFFS = ("HR@1", "HR@5", "HR@10", "HR@20", "NDCG@20")
BY_TITLES = (TITLES_ROW, HISTORY_TITLES_ROW, "teacher titles")


def cold_targets(lines: Sequence[Measured], figures: Figures) -> str:
    """Items that no one has touched: a student against its title's neighbours, and the price."""
    if not figures.count(Split.TEST, "cold"):
        return ""
    by_key = {line.key: line for line in lines}
    cells = []
    for line in lines:
        plain = by_key.get((CE_ROW, line.student, ""))
        titles = by_key.get((TITLES_ROW, "", line.teacher))
        if plain is None or titles is None or line.row not in (DISTILLED_ROW, COLD_ROW):
            continue
        is_bonus = line.row == COLD_ROW
        without = by_key.get((DISTILLED_ROW, line.student, line.teacher)) if is_bonus else None
        cells.append(
            [
                line.student,
                line.row,
                line.teacher,
                figure_of(plain, figures, "cold", "HR@20"),
                *_over_titles(line, titles, figures, "cold"),
                *_over_titles(line, titles, figures, NEW),
                _warm_gain(line, plain, figures),
                _warm_gain(line, without, figures),
            ]
        )
    headings = ("student", "row", "teacher", f"{CE_ROW} cold HR@20")
    found = [each for are in ("cold", NEW) for each in (f"{are} HR@20", f"over {TITLES_ROW}")]
    gains = [f"warm {METRIC} over {row}" for row in (CE_ROW, DISTILLED_ROW)]
    table = as_table((*headings, *found, *gains), cells)
    told = (
        f"{figures.count(Split.TEST, NEW):,} of the cold ones are new: no validation example, from "
        f"which `{COLD_ROW}` learns, asks for them or has them in its history."
    )
    against = _against_titles(lines, figures)
    return "\n\n".join(["## Cold targets", told, table, *against]) if cells else ""


def _against_titles(lines: Sequence[Measured], figures: Figures) -> Iterator[str]:
    """The method, with and without the bonus, against all who rank by titles alone."""
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
        if line.row in (DISTILLED_ROW, COLD_ROW) and other.row in BY_TITLES
    ]
    yield (
        "Cold targets again, at other cutoffs too: how far a student is above those who rank by "
        "titles alone, as the teachers' LLMs see titles, or the first layers of one."
    )
    headings = ("student", "row", "teacher", "against", "titles of", *CUTOFFS)
    yield as_table(headings, cells)


def _gaps(line: Measured, other: Measured, figures: Figures) -> Iterator[str]:
    for metric in CUTOFFS:
        more, less = figures.pair(line, other, "cold", metric)
        yield signed(more.minus(less).interval())


def _over_titles(
    line: Measured, titles: Measured, figures: Figures, targets: str
) -> tuple[str, str]:
    """HR@20 on such targets, and how far it is above that of the title's neighbours."""
    if not figures.count(Split.TEST, targets):
        return "", ""
    more, less = figures.pair(line, titles, targets, "HR@20")
    return figure_of(line, figures, targets, "HR@20"), signed(more.minus(less).interval())


def _warm_gain(line: Measured, other: Measured | None, figures: Figures) -> str:
    if other is None or not line.can_be_compared(other):
        return ""
    more, less = figures.pair(line, other, "warm", METRIC)
    return percent(more.relative_to(less).interval())
