"""Plots peak memory and processor time of a program against the number of interactions."""

from collections.abc import Mapping
from pathlib import Path

from proofs.fixtures.program_cost import Cost


def save_plot(path: Path, costs: Mapping[float, Cost], max_gib: float) -> None:
    """Plots the costs by millions of interactions, and saves the plot to `path`.

    `max_gib` is the target of the resident memory, in GiB.
    """
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(9, 3.2), layout="constrained")
    memory, processor = picture.subplots(1, 2)
    numbers = list(costs)
    memory.plot(numbers, [each.peak_gib for each in costs.values()], "o-", label="resident")
    memory.plot(numbers, [each.private_gib for each in costs.values()], "o-", label="private")
    memory.axhline(max_gib, color="0.7", linestyle="--", label="target")
    memory.set_ylabel("peak memory [GiB]")
    memory.legend()
    processor.plot(numbers, [each.cpu_seconds / 60 for each in costs.values()], "o-")
    processor.set_ylabel("processor time [minutes]")
    for axes in (memory, processor):
        axes.set_xlabel("million interactions")
        axes.set_ylim(bottom=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110, metadata={"Software": None})
