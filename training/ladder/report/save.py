"""Saves the files of a report: Markdown, CSV and plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.cli import say
from training.ladder.report.markdown import as_report
from training.ladder.report.pairs_csv import save_pairs
from training.ladder.report.plots import save_cost_plot, save_parts_plot
from training.ladder.report.result_csv import save_figures
from training.ladder.results.measured import Figures, Measured
from training.ladder.results.part_gains import has_part_gains
from training.ladder.results.refitted import headlines
from training.stage import write_text


def save_report(
    lines: Sequence[Measured],
    figures: Figures,
    origin: Mapping[str, object],
    folder: Path,
    name: str,
) -> None:
    """Writes the report of `lines` into `folder`, and prints the path of the Markdown file.

    The files are `<name>.md`, `<name>.csv`, `<name>-pairs.csv` and the plots `<name>-*.png`.

    Args:
        lines: the measured rankers.
        figures: computes the figures of `lines`.
        origin: names and values of the entries in the list at the end of the report.
        folder: folder that the files are written into.
        name: name of the experiment.
    """
    save_figures(lines, figures, folder / f"{name}.csv")
    save_pairs(lines, figures, folder / f"{name}-pairs.csv")
    shown = headlines(lines)
    save_cost_plot(shown, figures, folder / f"{name}-cost.png")
    if has_part_gains(shown, figures):
        save_parts_plot(shown, figures, folder / f"{name}-parts.png")
    write_text(folder / f"{name}.md", as_report(lines, figures, origin, name))
    say(f"written: {folder / name}.md")
