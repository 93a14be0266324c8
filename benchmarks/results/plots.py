"""Saves the plot of a report; defines the bar chart that most benchmarks use."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.results.figures import Report
from training.stage import whole_file

BLUE, GRAY, GREEN, ORANGE = "#1d3557", "#a8b2c1", "#2a9d8f", "#e76f51"
Draw = Callable[[Axes, Report], None]


def save_plot(report: Report, draw: Draw, folder: Path) -> Path:
    """Draws the plot of a report and writes it to `folder/<name>.png`; returns that path."""
    with mpl.rc_context({"svg.hashsalt": report.name}):
        canvas = Canvas(figsize=(7.2, 3.6), dpi=150, layout="constrained")
        axes = canvas.add_subplot()
        draw(axes, report)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_formatter("{x:,g}")
                axis.set_minor_formatter("")
        axes.spines[["top", "right"]].set_visible(False)
        canvas.supxlabel(
            f"{report.command} · {report.commit} · {report.hardware}", fontsize=6, color="gray"
        )
        path = folder / f"{report.name}.png"
        with whole_file(path) as file:
            canvas.savefig(file, format="png", metadata={"Software": None})
    return path


def draw_bars(axes: Axes, report: Report) -> None:
    """Draws a bar for each figure with a target.

    The length of a bar is the median divided by the target.
    """
    figures = [each for each in report.figures if each.target][::-1]
    for place, each in enumerate(figures):
        target = each.at_most or each.at_least or 1.0
        axes.barh(place, each.value / target, color=GREEN if each.holds else ORANGE)
        axes.plot([run / target for run in each.runs], [place] * len(each.runs), "|", color=BLUE)
    axes.axvline(1, color=ORANGE, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(figures)), [f"{each.name} ({each.target})" for each in figures])
    axes.tick_params(labelsize=7)
    axes.set(xlabel="share of the target")
    axes.set_title(report.name.replace("_", " "))
