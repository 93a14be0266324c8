"""Proves that `prepare` needs memory for users and items, but not for interactions.

Interactions are drawn at random: item and user by power laws, at ascending times. Each size runs
`python -m training.prepare` in a process of its own, with the k-core filter and the split by time.
There are 20 interactions a user and 50 an item on average, so both grow with the interactions.

python -m proofs prepare [--millions N]... [--seed N] [--plot PATH]
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.fixtures.data.cost_plot import save_plot
from proofs.fixtures.data.tables import MILLIONS, write_tables
from proofs.fixtures.processes.program_cost import (
    PREPARE,
    Cost,
    cost_figures,
    run_program,
    size_of,
)
from proofs.record import FOLDER, Figure
from training.cli import say

MAX_GIB = 4.0


def prove(
    *, millions: tuple[float, ...] = MILLIONS, seed: int = 1, plot: Path = FOLDER / "prepare.png"
) -> Iterable[Figure]:
    """Yields memory and time of `prepare` by the number of interactions, and plots them.

    Args:
        millions: numbers of interactions, in millions.
        seed: seed of the random interactions.
        plot: path of the plot.

    Raises:
        RuntimeError: `prepare` fails.
    """
    costs: dict[float, Cost] = {}
    for each in millions:
        with TemporaryDirectory() as folder:
            config = write_tables(Path(folder), round(each * 1_000_000), seed)
            say(f"{size_of(each)} are written")
            cost = costs[each] = run_program(PREPARE, config, Path(folder) / "work")
        number = each * 1_000_000
        yield from cost_figures(size_of(each), cost, "interactions a second", number, MAX_GIB)
    save_plot(plot, costs, MAX_GIB)
