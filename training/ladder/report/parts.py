"""Makes a report's sections on the gain that each part of the method brings."""

from collections.abc import Sequence

from training.data.dataset import Split
from training.evaluation.intervals import Draws, mean_of, percent
from training.evaluation.row_names import BCE_ROW, DISTILLED_ROW
from training.ladder.plan.rows import STEPS
from training.ladder.report.comparisons import difference_of, pairs_of_teachers
from training.ladder.report.tables import as_table, outcome, signed
from training.ladder.results.measured import Figures, Measured, students_of
from training.ladder.results.part_gains import METRIC, PartGain, has_part_gains, part_gains

# Relative gain that the paper reports, averaged over its three students, HR@20 and NDCG@20.
PAPERS_GAIN = 0.4797
PAPERS_METRICS = ("HR@20", "NDCG@20")


def parts(lines: Sequence[Measured], figures: Figures, picture: str) -> str:
    """Returns the report's section on the gain in test NDCG@20 by each part of the method.

    Returns "" if no two rows can be compared. The file names of the plots begin with `picture`.
    """
    if not has_part_gains(lines, figures):
        return ""
    sections = [
        "## What each part is worth",
        f"Difference in test {METRIC} between a row with the part and one without, drawn together, "
        "over the seeds that both have. Where each row chose among trials of its own, what was "
        "chosen may differ too (below); no interval is widened for there being many.",
        *(_gains_table(student, lines, figures) for student in students_of(lines)),
        f"![gain of each part]({picture}-parts.png)",
    ]
    return "\n\n".join(sections)


def parts_before(lines: Sequence[Measured], figures: Figures) -> str:
    """Returns the report's section on what each part was worth before students were refitted.

    Returns "" if no two of `lines`, which are not refitted, can be compared.
    """
    if not lines or not has_part_gains(lines, figures):
        return ""
    tables = (_gains_table(student, lines, figures) for student in students_of(lines))
    return "\n\n".join(["## What each part was worth before", *tables])


def _gains_table(student: str, lines: Sequence[Measured], figures: Figures) -> str:
    cells = [
        [
            gain.part,
            " over ".join(STEPS[gain.part]),
            gain.teacher,
            signed(gain.difference),
            percent(gain.relative),
            outcome(gain.difference),
        ]
        for gain in part_gains(student, lines, figures)
    ]
    headings = ("part", "rows", "teacher", METRIC, "relative", "")
    return f"### {student}\n\n" + as_table(headings, cells)


def papers_comparison(lines: Sequence[Measured], figures: Figures) -> str:
    """Returns the report's section on the relative gains of the row DLLM2Rec over the row BCE.

    Their average over all students and two metrics stands beside the figure of the DLLM2Rec paper.
    Returns "" if no student has both rows.
    """
    by_key = {(line.row, line.student): line for line in reversed(lines)}
    cells, gains = [], []
    for student in students_of(lines):
        distilled, baseline = (by_key.get((row, student)) for row in (DISTILLED_ROW, BCE_ROW))
        if distilled is None or baseline is None or not distilled.can_be_compared(baseline):
            continue
        of_student = _relative_gains(distilled, baseline, figures)
        gains += of_student
        percents = [percent(each.interval()) for each in of_student]
        cells.append([student, distilled.teacher, *percents])
    if not gains:
        return ""
    table = as_table(("student", "teacher", *PAPERS_METRICS), cells)
    average = percent(mean_of(gains).interval())
    return (
        f"## {DISTILLED_ROW} over {BCE_ROW}\n\n{table}\n\n"
        f"On average {average}. The paper says {PAPERS_GAIN:+.2%} of the same two metrics, of its "
        "own three data sets, of GRU4Rec, SASRec and DROS, and of the method beside the binary "
        "loss; here it is beside cross-entropy."
    )


def _relative_gains(distilled: Measured, baseline: Measured, figures: Figures) -> list[Draws]:
    pairs = [figures.pair(distilled, baseline, "all", metric) for metric in PAPERS_METRICS]
    return [more.relative_to(less) for more, less in pairs]


def negative_results(lines: Sequence[Measured], figures: Figures) -> str:
    """Returns the report's section on parts and teachers whose gain is not shown to be positive.

    Returns "" if no two rows can be compared.
    """
    if not has_part_gains(lines, figures):
        return ""
    found = [*_parts_not_shown(lines, figures), *_teachers_not_shown(lines, figures)]
    text = "\n".join(found) or "Every part's interval lies above zero."
    return f"## What was not shown\n\n{text}"


def _parts_not_shown(lines: Sequence[Measured], figures: Figures) -> list[str]:
    return [
        f"- {student}: {_part_and_teacher(gain)} {outcome(gain.difference).strip('*')} "
        f"({percent(gain.relative)})"
        for student in students_of(lines)
        for gain in part_gains(student, lines, figures)
        if not gain.difference.is_above_zero
    ]


def _teachers_not_shown(lines: Sequence[Measured], figures: Figures) -> list[str]:
    return [
        f"- {line.student}: {line.row} taught by {line.teacher}, over {other.teacher}, "
        f"{outcome(difference).strip('*')} ({signed(difference)})"
        for line, other in pairs_of_teachers(lines)
        for difference in [difference_of(line, other, figures, Split.TEST)]
        if not difference.is_above_zero
    ]


def _part_and_teacher(gain: PartGain) -> str:
    return f"{gain.part}, {gain.teacher} teacher," if gain.teacher else gain.part
