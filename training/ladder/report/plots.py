"""Draws the plots of a report: NDCG@20 against training time, and the gain of each part."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.data.dataset import Split
from training.evaluation.intervals import Interval
from training.ladder.plan.rows import STEPS
from training.ladder.results.measured import Figures, Measured, students_of
from training.ladder.results.part_gains import METRIC, PartGain, part_gains
from training.stage import new_file

DOTS_PER_INCH = 120
LABELLED = ("BCE", "CE", "embeddings only", "DLLM2Rec")
LEAST_SECONDS = 0.01  # replaces 0 seconds, which a logarithmic axis cannot show
TEACHERS_DISTANCE = 0.15  # vertical distance of two teachers' points; two parts are 1 apart


def save_cost_plot(lines: Sequence[Measured], figures: Figures, path: Path) -> None:
    """Plots each line's test NDCG@20 against its training time; writes the plot to `path`.

    The time of a teacher is not added to that of its students.
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", xlabel="training seconds of one run (teacher: all of it)", ylabel=METRIC
    )
    taught = [line for line in lines if line.student and line.teacher]
    others = {line.key for line in taught if line.teacher != taught[0].teacher}
    for student in dict.fromkeys(line.student for line in lines):
        group = [line for line in lines if line.student == student]
        found = [figures.draws(line, Split.TEST, "all", METRIC).interval() for line in group]
        means = [each.mean for each in found]
        seconds = [max(line.train_seconds, LEAST_SECONDS) for line in group]
        axes.errorbar(
            seconds, means, _bars(found), fmt="o", capsize=2, label=student or "no student"
        )
        for line, x, y in zip(group, seconds, means, strict=True):
            if not student or line.row in LABELLED:
                _annotate(axes, _label(line, figures), (x, y), left=line.key in others)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    axes.set_title(f"{figures.dataset.name}: quality against cost, test, 95 % intervals")
    _save(figure, path)


def _bars(intervals: Sequence[Interval]) -> list[list[float]]:
    """Returns two lists of the lengths of error bars, one entry for each of `intervals`.

    The first list is for the parts of the bars below the means, the second for those above.
    """
    below = [each.mean - each.low for each in intervals]
    return [below, [each.high - each.mean for each in intervals]]


def _annotate(axes: Axes, name: str, point: tuple[float, float], *, left: bool) -> None:
    """Writes `name` to the right of a point of the plot, or to its left if `left` is true.

    `point` is the pair of x and y in data coordinates. Callers set `left` for a second teacher,
    whose points lie near those of the first.
    """
    offset, alignment = ((-4, 4), "right") if left else ((4, 4), "left")
    axes.annotate(name, point, offset, textcoords="offset points", fontsize=7, ha=alignment)


def _label(line: Measured, figures: Figures) -> str:
    """Returns a line's label in the plot: its row and teacher.

    If the ranker answered only some of the test examples, their number is added.
    """
    name = f"{line.row}, {line.teacher}" if line.teacher and not line.is_teacher else line.row
    num_answered = len(line.answered(Split.TEST))
    is_part = num_answered < figures.count(Split.TEST, "all")
    return f"{name} ({num_answered:,} examples)" if is_part else name


def save_parts_plot(lines: Sequence[Measured], figures: Figures, path: Path) -> None:
    """Plots the gain in test NDCG@20 of each part of the method; writes the plot to `path`.

    Each student has a panel, and each teacher has a colour.
    """
    found = {each: list(part_gains(each, lines, figures)) for each in students_of(lines)}
    every_gain = [gain for gains in found.values() for gain in gains]
    parts = [part for part in STEPS if part in {gain.part for gain in every_gain}]
    teachers = list(dict.fromkeys(gain.teacher for gain in every_gain))
    figure = Figure(figsize=(5.5 + 3 * len(found), 5), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for (student, gains), axes in zip(found.items(), panels, strict=True):
        by_teacher = {each: [gain for gain in gains if gain.teacher == each] for each in teachers}
        _draw_panel(axes, student, by_teacher, parts)
    if found:
        panels[0].set_yticks(range(len(parts)), parts)
        panels[0].set_ylim(len(parts) - 0.5, -0.5)  # the first part on top
    _save(figure, path)


def _draw_panel(
    axes: Axes,
    student: str,
    by_teacher: Mapping[str, Sequence[PartGain]],
    parts: Sequence[str],
) -> None:
    for number, gains in enumerate(by_teacher.values()):
        if gains:
            _draw_gains(axes, gains, parts, number, number - (len(by_teacher) - 1) / 2)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_title(student)
    axes.set_xlabel(f"gain in test {METRIC}")
    axes.grid(alpha=0.3, axis="x")
    if any(by_teacher.values()):
        axes.legend(title="teacher", fontsize="small", loc="best")


def _draw_gains(
    axes: Axes, gains: Sequence[PartGain], parts: Sequence[str], number: int, place: float
) -> None:
    """Draws the gain of each part with one teacher, as points with error bars.

    Args:
        axes: the panel of one student.
        gains: gains with this teacher.
        parts: names of all parts, from top to bottom.
        number: index of the teacher among all teachers, from 0; decides the colour.
        place: vertical offset from the middle of a part, in multiples of `TEACHERS_DISTANCE`.
    """
    differences = [gain.difference for gain in gains]
    axes.errorbar(
        [each.mean for each in differences],
        [parts.index(gain.part) + TEACHERS_DISTANCE * place for gain in gains],
        xerr=_bars(differences),
        fmt="o",
        capsize=3,
        color=f"C{number}",
        label=gains[0].teacher or "none",
    )


def _save(figure: Figure, path: Path) -> None:
    """Writes a plot to `path` as a PNG; an existing file is replaced as a whole, never in part."""
    with new_file(path) as file:
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
