"""Proves that an epoch of training fits in memory at 50 million interactions and a million items.

The tables are those of `proofs prepare`. Each size runs `python -m training.distill` in a process
of its own: one epoch of a student without a teacher, with `touched_rows`, and validation on a part
of the examples. The largest size that gets a pair bonus is trained without one, too, as larger ones
are. Then two agents of torchrun train together, one of them is killed, and one process
goes on (`proofs/epoch/agents.py`).

python -m proofs epoch [--millions N]... [--seed N] [--keep FOLDER] [--plot PATH]
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from proofs.epoch.agents import lost_agent
from proofs.fixtures.data.cost_plot import save_plot
from proofs.fixtures.data.tables import MILLIONS, PER_ITEM, write_tables
from proofs.fixtures.processes.program_cost import (
    PREPARE,
    Cost,
    cost_figures,
    run_program,
    size_of,
)
from proofs.record import FOLDER, Figure
from training.cli import say
from training.data.dataset import Split
from training.data.storage import load_dataset
from training.students.pair_bonus import MAX_ITEMS

MAX_GIB = 8.0
DISTILL = "training.distill"
OPTIONS = ("--variant", "plain", "--seed", "0", "--workers", "1")
SETTINGS = """
[training]
batch_size = 256
max_epochs = 1
matmul_precision = "medium"
packed_windows = true
scored_share = 0.005
averaged_epochs = 0
touched_rows = true
validation_examples = 2_000
"""
WITHOUT_PAIR_BONUS = "pair_bonus = false\n"
RATE = "predicted interactions a second"


def prove(
    *,
    millions: tuple[float, ...] = MILLIONS,
    seed: int = 1,
    keep: Path | None = None,
    plot: Path = FOLDER / "epoch.png",
) -> Iterable[Figure]:
    """Yields memory and time of an epoch by the number of interactions, and plots them.

    Args:
        millions: numbers of interactions, in millions.
        seed: seed of the random interactions.
        keep: folder, not there yet, of the last experiment: its dataset and student.
        plot: path of the plot.

    Raises:
        RuntimeError: a program fails.
        FileExistsError: `keep` is there already.
    """
    if keep and keep.exists():  # told now, not after an hour
        raise FileExistsError(f"{keep}: is there already; delete it, or name another folder")
    costs: dict[float, Cost] = {}
    with_bonus = [each for each in millions if each * 1_000_000 <= MAX_ITEMS * PER_ITEM]
    for each in millions:
        with TemporaryDirectory() as name:
            folder = Path(name)
            config = write_tables(folder, round(each * 1_000_000), seed)
            config.write_text(config.read_text(encoding="utf-8") + SETTINGS, encoding="utf-8")
            costs[each], predicted = _epoch(config, folder / "work")
            yield from cost_figures(size_of(each), costs[each], RATE, predicted, MAX_GIB)
            if each == max(with_bonus, default=None):
                cost = _without_pair_bonus(config, folder / "work")
                about = f"{size_of(each)} without a pair bonus"
                yield from cost_figures(about, cost, RATE, predicted, MAX_GIB)
            if keep and each == millions[-1]:
                shutil.move(folder / "work" / config.stem, keep)
    save_plot(plot, costs, MAX_GIB)
    yield from lost_agent(seed)


def _epoch(config: Path, work: Path) -> tuple[Cost, int]:
    """Prepares and trains an epoch; returns its cost and the number of predicted interactions."""
    run_program(PREPARE, config, work)
    dataset = load_dataset(work / config.stem / "dataset")
    predicted = int(np.sum(dataset.splits == Split.TRAIN)) - len(dataset.user_ids)
    say(f"{config}: an epoch predicts {predicted:,} interactions")
    del dataset
    return run_program(DISTILL, config, work, *OPTIONS), predicted


def _without_pair_bonus(config: Path, work: Path) -> Cost:
    """Trains an epoch without a pair bonus on the dataset that `_epoch` has prepared in `work`."""
    other = work.with_name("without-pair-bonus")
    shutil.copytree(work / config.stem / "dataset", other / config.stem / "dataset")
    with config.open("a", encoding="utf-8") as file:
        file.write(WITHOUT_PAIR_BONUS)
    return run_program(DISTILL, config, other, *OPTIONS)
