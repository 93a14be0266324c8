"""Plots the latency under each fault over time, with one panel per fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proofs.fixtures.load.visitors import Load


@dataclass(frozen=True, slots=True)
class Row:
    """The measurement of one fault, which becomes a panel of the plot.

    Attributes:
        name: name of the fault.
        load: the load, with its answers.
        began, ended: begin and end of the fault, by `time.monotonic`.
        over: time from which everything must work again: later than `ended` if Redis had to
            start, earlier if a replica has taken over.
    """

    name: str
    load: Load
    began: float
    ended: float
    over: float


def save_plot(path: Path, rows: Sequence[Row]) -> None:
    """Plots the latency of each request against the time at which it was due, and saves the plot.

    Degraded answers are red.
    """
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(9, 1.4 * len(rows)), layout="constrained")
    for axes, row in zip(picture.subplots(len(rows), squeeze=False)[:, 0], rows, strict=True):
        for is_degraded, color in ((False, "tab:blue"), (True, "tab:red")):
            chosen = [each for each in row.load.answers if each.is_degraded == is_degraded]
            times = [each.due - row.began for each in chosen]
            axes.scatter(times, [1000 * each.seconds for each in chosen], s=1, color=color)
        axes.axvspan(0, row.over - row.began, color="0.9", zorder=0)
        axes.set_yscale("log")
        axes.set_ylabel(f"{row.name}\n[ms]", fontsize=8)
    axes.set_xlabel("seconds since the fault began; red: degraded or not stored")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110)
