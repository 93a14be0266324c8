"""The ladder as people read it: tables in Markdown, every figure with its interval."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from training.data.dataset import Split
from training.evaluation.intervals import Interval, mean_of
from training.evaluation.row_names import BCE_ROW, CE_ROW, COLD_ROW, DISTILLED_ROW
from training.ladder.plan.rows import NEIGHBOURS_ROW, STEPS
from training.ladder.report.cold_targets import cold_targets
from training.ladder.report.tables import as_table, figure_of, percent, signed
from training.ladder.results.measured import TARGETS, Figures, Measured
from training.ladder.results.part_gains import METRIC, PartGain, part_gains

PAPERS_GAIN = 0.4797  # the paper's average over its three students, HR@20 and NDCG@20
HEADINGS = (
    "row",
    "teacher",
    f"validation {METRIC}",
    "NDCG@20",
    "HR@20",
    "warm NDCG@20",
    "cold HR@20",
    "examples",
    "seeds",
    "train s",
    "teacher tokens",
)
WHOLE_ROWS = (DISTILLED_ROW, COLD_ROW)
SHOWN = (("all", "NDCG@20"), ("all", "HR@20"), ("warm", "NDCG@20"), ("cold", "HR@20"))


def as_report(
    lines: Sequence[Measured], figures: Figures, origin: Mapping[str, object], picture: str
) -> str:
    """The whole report.

    Args:
        lines: what was measured.
        figures: their figures.
        origin: what to say of its making, the command first.
        picture: file names, without ending, of the plots beside the report.
    """
    sections = [
        f"# The ladder on {figures.dataset.name}",
        "\n".join(f"- {name}: {value}" for name, value in origin.items()),
        _examples(figures),
        "## How well each ranks",
        *(_ranks_of(student, lines, figures) for student in _students(lines, also_none=True)),
        f"![quality against cost]({picture}-cost.png)",
        _parts(lines, figures, picture),
        _papers_comparison(lines, figures),
        _against_others(lines, figures),
        _between_teachers(lines, figures),
        cold_targets(lines, figures),
        _negative_results(lines, figures),
        "## What was chosen",
        _choices(lines),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _examples(figures: Figures) -> str:
    counts = ", ".join(f"{figures.count(Split.TEST, each):,} {each}" for each in TARGETS)
    rows = figures.dataset.example_rows(Split.TEST)
    users = len(set(figures.dataset.user_of_row[rows].tolist()))
    return (
        f"Test examples: {counts} (cold: no training interaction with the item), of {users:,} "
        f"users, ranked over the full catalog of {figures.dataset.catalog.num_items:,} items, "
        f"seen ones left out. In brackets: 95 % of {figures.num_draws:,} bootstrap draws of users "
        f"and seeds. "
        f"Validation {METRIC} chose epochs, and settings where there were trials; test chose "
        f"none of them. What validation tells of `{COLD_ROW}` is of examples that taught it, too. "
        "Seconds are a clock's: longer where runs shared a machine (`hardware`) or were stopped. "
        "What the method adds to an epoch is measured by `python -m benchmarks epoch_cost`."
    )


def _students(lines: Sequence[Measured], *, also_none: bool = False) -> list[str]:
    return [each for each in dict.fromkeys(line.student for line in lines) if each or also_none]


def _ranks_of(student: str, lines: Sequence[Measured], figures: Figures) -> str:
    cells = [
        [
            line.row,
            line.teacher,
            f"{figures.draws(line, Split.VALIDATION, 'all', METRIC).interval().mean:.4f}",
            *(figure_of(line, figures, *each) for each in SHOWN),
            f"{len(line.answered(Split.TEST)):,}",
            str(line.num_runs),
            f"{line.train_seconds:,.0f}",
            f"{line.teacher_tokens:,}" if line.teacher_tokens else "",
        ]
        for line in lines
        if line.student == student
    ]
    return f"### {student or 'Without a student'}\n\n{as_table(HEADINGS, cells)}"


def has_steps(lines: Sequence[Measured], figures: Figures) -> bool:
    """Whether any part can be told apart: a few rows may have none in common."""
    return any(True for student in _students(lines) for _ in part_gains(student, lines, figures))


def _parts(lines: Sequence[Measured], figures: Figures, picture: str) -> str:
    if not has_steps(lines, figures):
        return ""
    sections = [
        "## What each part is worth",
        f"Difference in test {METRIC} between a row with the part and one without, drawn together, "
        "over the seeds that both have. Where each row chose among trials of its own, what was "
        "chosen may differ too (below); no interval is widened for there being many.",
        *(_steps_of(student, lines, figures) for student in _students(lines)),
        f"![gain of each part]({picture}-parts.png)",
    ]
    return "\n\n".join(sections)


def _steps_of(student: str, lines: Sequence[Measured], figures: Figures) -> str:
    cells = [
        [
            step.part,
            " over ".join(STEPS[step.part]),
            step.teacher,
            signed(step.difference),
            percent(step.relative),
            _verdict(step.difference),
        ]
        for step in part_gains(student, lines, figures)
    ]
    headings = ("part", "rows", "teacher", METRIC, "relative", "")
    return f"### {student}\n\n" + as_table(headings, cells)


def _verdict(difference: Interval) -> str:
    if not difference.excludes_zero:
        return "not shown"
    return "helps" if difference.low > 0 else "**hurts**"


def _papers_comparison(lines: Sequence[Measured], figures: Figures) -> str:
    """Relative gains over the binary loss, HR@20 and NDCG@20, as the paper averages them."""
    by_key = {(line.row, line.student): line for line in reversed(lines)}
    cells, gains = [], []
    for student in _students(lines):
        distilled, plain = (by_key.get((row, student)) for row in (DISTILLED_ROW, BCE_ROW))
        if distilled is None or plain is None or not distilled.can_be_compared(plain):
            continue
        of_student = [
            more.relative_to(less)
            for metric in ("HR@20", "NDCG@20")
            for more, less in [figures.pair(distilled, plain, "all", metric)]
        ]
        gains += of_student
        percents = [percent(each.interval()) for each in of_student]
        cells.append([student, distilled.teacher, *percents])
    if not gains:
        return ""
    table = as_table(("student", "teacher", "HR@20", "NDCG@20"), cells)
    average = percent(mean_of(gains).interval())
    return (
        f"## {DISTILLED_ROW} over {BCE_ROW}\n\n{table}\n\n"
        f"On average {average}. The paper says {PAPERS_GAIN:+.2%} of the same two metrics, of its "
        "own three data sets, of GRU4Rec, SASRec and DROS, and of the method beside the binary "
        "loss; here it is beside cross-entropy."
    )


def _against_others(lines: Sequence[Measured], figures: Figures) -> str:
    cells = [
        [
            _who(line),
            line.teacher if line.student else "",
            other.row,
            *(
                signed(_difference(line, other, figures, split))
                for split in (Split.VALIDATION, Split.TEST)
            ),
        ]
        for place, line in enumerate(lines)
        for other in (lines[:place] if line.is_teacher else lines)
        if (line.row in (CE_ROW, *WHOLE_ROWS) or line.is_teacher) and _is_another_way(other)
    ]
    table = as_table(("who", "taught by", "against", f"validation {METRIC}", METRIC), cells)
    told = "On the examples that both have answered."
    return f"## Against teachers and neighbours\n\n{told}\n\n{table}" if cells else ""


def _who(line: Measured) -> str:
    return f"{line.student} {line.row}".strip()


def _is_another_way(line: Measured) -> bool:
    """Whether it would answer in a student's place."""
    return line.is_teacher or line.row == NEIGHBOURS_ROW


def _difference(line: Measured, other: Measured, figures: Figures, split: Split) -> Interval:
    more, less = figures.pair(line, other, "all", METRIC, split)
    return more.minus(less).interval()


def _between_teachers(lines: Sequence[Measured], figures: Figures) -> str:
    cells = [_lesson(line, other, figures) for line, other in _taught_otherwise(lines)]
    if not cells:
        return ""
    headings = ("student", "row", "taught by", "over", "seeds", METRIC, "relative", "warm", "")
    told = f"The same student, over the seeds that both have; of warm targets relative {METRIC}."
    return f"## What another teacher is worth\n\n{told}\n\n{as_table(headings, cells)}"


def _taught_otherwise(lines: Sequence[Measured]) -> Iterator[tuple[Measured, Measured]]:
    """The whole method by one teacher, and by each that stands before it."""
    for place, line in enumerate(lines):
        for other in lines[:place] if line.row in WHOLE_ROWS else ():
            is_the_same = (line.student, line.row) == (other.student, other.row)
            if is_the_same and line.can_be_compared(other):
                yield line, other


def _lesson(line: Measured, other: Measured, figures: Figures) -> list[str]:
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
        _verdict(difference),
    ]


def _negative_results(lines: Sequence[Measured], figures: Figures) -> str:
    found = [
        f"- {student}: {_named(step)} {_verdict(step.difference).strip('*')} "
        f"({percent(step.relative)})"
        for student in _students(lines)
        for step in part_gains(student, lines, figures)
        if not step.difference.low > 0
    ]
    found += [
        f"- {line.student}: {line.row} taught by {line.teacher}, over {other.teacher}, "
        f"{_verdict(difference).strip('*')} ({signed(difference)})"
        for line, other in _taught_otherwise(lines)
        for difference in [_difference(line, other, figures, Split.TEST)]
        if not difference.low > 0
    ]
    if not has_steps(lines, figures):
        return ""
    told = "\n".join(found) or "Every part's interval lies above zero."
    return f"## What was not shown\n\n{told}"


def _named(step: PartGain) -> str:
    return f"{step.part}, {step.teacher} teacher," if step.teacher else step.part


def _choices(lines: Sequence[Measured]) -> str:
    cells = [
        [
            line.student,
            line.row,
            line.teacher,
            str(line.num_trials),
            ", ".join(f"{k} = {v}" for k, v in line.settings.items()),
            _each(run.best_epoch for run in line.runs),
            _each(run.cold_bonus for run in line.runs) if line.row == COLD_ROW else "",
        ]
        for line in lines
        if line.settings
    ]
    headings = ("student", "row", "teacher", "trials", "settings", "epochs", "cold bonuses")
    return as_table(headings, cells)


def _each(values: Iterable[float | None]) -> str:
    """One value a seed."""
    return ", ".join("none" if value is None else f"{value:g}" for value in values)
