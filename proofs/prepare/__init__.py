"""Proves that `prepare` needs memory for users and items, but not for interactions.

Interactions are drawn at random: item and user by power laws, at ascending times. Each size runs
`python -m training.prepare` in a process of its own, with the k-core filter and the split by time.
There are 20 interactions a user and 50 an item on average, so both grow with the interactions.

python -m proofs prepare [--millions N]... [--seed N] [--plot PATH]
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from proofs.fixtures.program_cost import Cost, cost_figures, run_program
from proofs.prepare.plot import save_plot
from proofs.record import FOLDER, Figure
from training.cli import say

MILLIONS = (1, 3, 10, 50)
PER_USER, PER_ITEM = 20, 50  # mean number of interactions
MAX_GIB = 4.0
PREPARE = "training.prepare"
ROWS_A_PART = 1_000_000
# Exponents of `rank = number · uniform ** exponent`; density falls with rank ** (1/exponent - 1).
USER_EXPONENT, ITEM_EXPONENT = 2.0, 3.0
FIRST_SECOND, SECONDS = 1_700_000_000, 365 * 86_400
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty")


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
            say(f"{each:g} million interactions are written")
            cost = costs[each] = run_program(PREPARE, config, Path(folder) / "work")
        number = each * 1_000_000
        yield from cost_figures(each, cost, "interactions a second", number, MAX_GIB)
    save_plot(plot, costs, MAX_GIB)


def write_tables(folder: Path, num_rows: int, seed: int) -> Path:
    """Writes interactions, items and a config into `folder`; returns the path of the config."""
    interactions = folder / "interactions"
    interactions.mkdir()
    random = np.random.default_rng(seed)
    num_users, num_items = max(1, num_rows // PER_USER), max(1, num_rows // PER_ITEM)
    for part, start in enumerate(range(0, num_rows, ROWS_A_PART)):
        rows = np.arange(start, min(start + ROWS_A_PART, num_rows))
        table = pa.table(
            {
                "user_id": _ids("u", _ranks(random, len(rows), num_users, USER_EXPONENT)),
                "item_id": _ids("i", _ranks(random, len(rows), num_items, ITEM_EXPONENT)),
                "timestamp": FIRST_SECOND + rows * SECONDS // num_rows,
            }
        )
        pq.write_table(table, interactions / f"part-{part:05}.parquet")
    numbers = np.arange(num_items)
    titles = [f"{_WORDS[each % 10]} {_WORDS[each // 10 % 10]} {each}" for each in numbers]
    items = pa.table({"item_id": _ids("i", numbers), "title": titles})
    pq.write_table(items, folder / "items.parquet")
    config = folder / "large.toml"
    config.write_text(
        f'name = "large"\n[data]\nsource = "tables"\ninteractions = "{interactions}"\n'
        f'items = "{folder / "items.parquet"}"\n',
        encoding="utf-8",
    )
    return config


def _ranks(
    random: np.random.Generator, rows: int, number: int, exponent: float
) -> NDArray[np.int64]:
    """Draws `rows` ranks below `number` by a power law, `[rows]`, with rank 0 the most frequent."""
    return (number * random.random(rows) ** exponent).astype(np.int64)


def _ids(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")
