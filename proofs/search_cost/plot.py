"""Plots the CPU time of searches against the size of the catalog."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from proofs.search_cost.search import Cost


def save_plot(path: Path, costs: Mapping[str, Mapping[int, Cost]]) -> None:
    """Plots the median of each search by the number of items, and saves the plot to `path`."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(9, 3.6), layout="constrained")
    time, building = picture.subplots(1, 2)
    for name, by_size in costs.items():
        sizes = list(by_size)
        medians = [float(np.median(each.milliseconds)) for each in by_size.values()]
        time.plot(sizes, medians, "o-", label=name)
        building.plot(sizes, [each.build_seconds for each in by_size.values()], "o-")
    time.set_ylabel("median CPU of an answer [ms]")
    time.legend(loc="best")
    building.set_ylabel("CPU to build [s]")
    for axes in (time, building):
        axes.set(xscale="log", yscale="log", xlabel="items")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110, metadata={"Software": None})
