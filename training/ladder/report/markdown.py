"""Makes the report of a ladder in Markdown, with an interval for every figure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from training.data.dataset import Protocol, Split
from training.evaluation.row_names import BONUSES_ROW, COLD_ROW, PAIRS_ROW, PLAIN_PAIRS_ROW
from training.ladder.report.cold_targets import cold_targets
from training.ladder.report.comparisons import against_others, between_teachers
from training.ladder.report.parts import negative_results, papers_comparison, parts, parts_before
from training.ladder.report.strata import by_stratum
from training.ladder.report.summary import summary
from training.ladder.report.tables import as_table, figure_of
from training.ladder.results.measured import COLD_BEFORE, TARGETS, Figures, Measured
from training.ladder.results.part_gains import METRIC
from training.ladder.results.refitted import REFITTED_NOTE, headlines, trained_alone

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
REFITTED_HEADINGS = (*HEADINGS[:2], "HR@20, cold before", *HEADINGS[3:])
SHOWN = (("all", "NDCG@20"), ("all", "HR@20"), ("warm", "NDCG@20"), ("cold", "HR@20"))


def as_report(
    lines: Sequence[Measured], figures: Figures, origin: Mapping[str, object], name: str
) -> str:
    """Returns the whole report in Markdown.

    Args:
        lines: the measured rankers. If students were refitted, the report compares the refits. A
            separate table then shows the lines that were fitted on training rows only.
        figures: computes the figures of `lines`.
        origin: names and values of the entries in the list at the end, the command first.
        name: name of the experiment; the names of plots, which are in the folder of the report,
            begin with it.
    """
    every_line, lines = lines, headlines(lines)
    before = trained_alone(every_line)
    sections = [
        f"# The ladder on {name}",
        summary(lines, figures, name),
        _examples(lines, figures, lines[0].protocol),
        REFITTED_NOTE if before else "",
        "## How well each ranks, refitted" if before else "## How well each ranks",
        *_rankers_tables(lines, figures),
        parts(lines, figures, name),
        papers_comparison(lines, figures),
        against_others(lines, figures),
        between_teachers(lines, figures),
        cold_targets(lines, figures),
        by_stratum(lines, figures),
        negative_results(lines, figures),
        "## How well each ranked before it was refitted" if before else "",
        *_rankers_tables(before, figures),
        parts_before(before, figures),
        "## What was chosen",
        _choices_table(before or lines),
        "## How it was made",
        "\n".join(f"- {entry}: {value}" for entry, value in origin.items()),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _examples(lines: Sequence[Measured], figures: Figures, protocol: Protocol) -> str:
    """Returns the report's paragraph on the test examples, the intervals and the measurements.

    `protocol` decides which next items count as cold.
    """
    counts = ", ".join(f"{figures.count(Split.TEST, each, protocol):,} {each}" for each in TARGETS)
    learned = "training" if protocol == "train" else "training or validation"
    rows = figures.dataset.example_rows(Split.TEST)
    users = len(set(figures.dataset.user_of_row[rows].tolist()))
    return (
        f"Test examples: {counts} (cold: no {learned} interaction with the item), of {users:,} "
        f"users, ranked over the full catalog of {figures.dataset.catalog.num_items:,} items, "
        f"seen ones left out. In brackets: 95 % of {figures.num_draws:,} draws of users and, by "
        "Student's t, of the mean over seeds; so a lower end may be below 0. "
        f"Validation {METRIC} chose epochs, and settings where there were trials; test chose "
        f"none of them. What validation tells of {_taught_by_validation(lines)} is of examples "
        "that taught it, too. "
        "Seconds are a clock's: longer where runs shared a machine (`hardware`) or were stopped. "
        "What the method adds to an epoch is measured by `python -m benchmarks epoch_cost`."
    )


def _taught_by_validation(lines: Sequence[Measured]) -> str:
    """Names the rows that are fitted to validation examples after training."""
    present = {line.row for line in lines}
    rows = [COLD_ROW, *filter(present.__contains__, (PLAIN_PAIRS_ROW, PAIRS_ROW, BONUSES_ROW))]
    return " and ".join(filter(None, (", ".join(f"`{row}`" for row in rows[:-1]), f"`{rows[-1]}`")))


def _rankers_tables(lines: Sequence[Measured], figures: Figures) -> list[str]:
    groups = dict.fromkeys(line.student for line in lines)  # "" for rankers without a student
    return [_rankers_table(student, lines, figures) for student in groups]


def _rankers_table(student: str, lines: Sequence[Measured], figures: Figures) -> str:
    """Returns a table of those of `lines` that are of one student, with their main figures.

    The student "" stands for all rankers without a student.
    """
    own = [line for line in lines if line.student == student]
    cells = [_ranker_cells(line, figures) for line in own]
    headings = HEADINGS if own[0].protocol == "train" else REFITTED_HEADINGS
    return f"### {student or 'Without a student'}\n\n{as_table(headings, cells)}"


def _ranker_cells(line: Measured, figures: Figures) -> list[str]:
    return [
        line.row,
        line.teacher,
        *_between(line, figures),
        *(figure_of(line, figures, *each) for each in SHOWN),
        f"{len(line.answered(Split.TEST)):,}",
        str(line.num_runs),
        f"{line.train_seconds:,.0f}",
        f"{line.teacher_tokens:,}" if line.teacher_tokens else "",
    ]


def _between(line: Measured, figures: Figures) -> Iterator[str]:
    """Yields the cell of `line` in the third column of the table of rankers, as text.

    For a line fitted on training rows only, the cell is validation NDCG@20. A refit has no
    validation figures, so its cell is test HR@20 on next items without a training interaction.
    """
    if line.protocol == "train":
        validation = figures.draws(line, Split.VALIDATION, "all", METRIC).interval()
        yield f"{validation.mean:.4f}"
    else:
        yield figure_of(line, figures, COLD_BEFORE, "HR@20")


def _choices_table(lines: Sequence[Measured]) -> str:
    """Returns a Markdown table of each line's chosen settings, best epochs and cold bonuses."""
    cells = [_choice_cells(line) for line in lines if line.settings]
    headings = ("student", "row", "teacher", "trials", "settings", "epochs", "cold bonuses")
    return as_table(headings, cells)


def _choice_cells(line: Measured) -> list[str]:
    has_bonus = line.row in (COLD_ROW, BONUSES_ROW)
    return [
        line.student,
        line.row,
        line.teacher,
        str(line.num_trials or ""),
        ", ".join(f"{k} = {v}" for k, v in line.settings.items()),
        _by_seed(run.best_epoch for run in line.runs) if line.kind == "student" else "",
        _by_seed(run.cold_bonus for run in line.runs) if has_bonus else "",
    ]


def _by_seed(values: Iterable[float | None]) -> str:
    return ", ".join("none" if value is None else f"{value:g}" for value in values)
