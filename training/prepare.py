"""Turns interactions and titles into a dataset, `work/<name>/dataset`.

python -m training.prepare configs/movielens.toml
"""

import sys
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.cli import run, say
from training.data.build import build_dataset
from training.data.dataset import Dataset, Split, count_splits
from training.data.large_arrays import ROWS_A_BLOCK
from training.data.sources.opening import source_stamps
from training.data.sources.sql import with_tables
from training.data.storage import save_dataset
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Work
from training.stage import fingerprint, finish_replacement, is_current, write_stage
from training.workplace import Workplace, open_experiment

RULES_VERSION = 1  # increment when a code change alters the dataset of unchanged input


def command(config: Config, /, *, work: Work = WORK) -> None:
    """Turn interactions and titles into a dataset: filter, split, check."""
    prepare(*open_experiment(config, work))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs this program with `arguments` (None: `sys.argv[1:]`); returns the exit code."""
    return run(command, "training.prepare", arguments)


def prepare(experiment: Experiment, workplace: Workplace) -> None:
    """Builds the dataset of `experiment` and writes it, unless the stored dataset is up to date."""
    settings = experiment.data.fingerprint_content(exclude={"interactions", "items", "sql"})
    with with_tables(experiment.data, say) as data:
        stamp = fingerprint(RULES_VERSION, experiment.name, settings, source_stamps(data))
        finish_replacement(workplace.dataset)
        if is_current(workplace.dataset, stamp):
            say(f"{workplace.dataset} is current, nothing to do")
            return
        dataset = build_dataset(experiment.name, data, say)
        with write_stage(workplace.dataset, stamp) as folder:
            save_dataset(dataset, folder)
    say(f"{workplace.dataset}: {describe(dataset)}")


def describe(dataset: Dataset) -> str:
    """Describes a dataset in a few lines: its size, the rows of each split, and cold items."""
    lines = [
        f"{len(dataset.user_ids):,} users, {dataset.catalog.num_items:,} items, "
        f"{len(dataset.item_indices):,} interactions, fingerprint {dataset.fingerprint}"
    ]
    counts = count_splits(dataset.splits)
    for split in Split:
        note = ""
        if split in (Split.VALIDATION, Split.TEST):
            targets = dataset.num_examples(split)
            note = f", {targets:,} with a history, {cold_share(dataset, split):.1%} of them cold"
            if targets > dataset.max_held_out:
                note += f"; {dataset.max_held_out:,} are ranked"
        lines.append(f"  {split.name.lower():<10} {counts[split]:>9,}{note}")
    is_cold = dataset.train_counts()[1:] == 0
    occurs = dataset.item_counts(*Split)[1:] > 0
    lines.append(
        f"  {is_cold.sum():,} items are cold, {(~occurs).sum():,} of them without any interaction"
    )
    if share := repeated_share(dataset):
        lines.append(
            f"  {share:.1%} of the interactions repeat an item of their user; rankings leave such "
            "items out, so none can be a hit"
        )
    return "\n".join(lines)


def repeated_share(dataset: Dataset) -> float:
    """Returns the share of interactions whose item an earlier row of the same user has."""
    offsets, num_repeated = dataset.user_offsets, 0
    for users in _blocks_of_users(offsets):
        lengths = np.diff(offsets[users.start : users.stop + 1])
        rows = slice(offsets[users.start], offsets[users.stop])
        keys = np.repeat(np.arange(len(lengths)), lengths) * dataset.catalog.num_rows
        keys += dataset.item_indices[rows]
        num_repeated += len(keys) - len(np.unique(keys))
    return num_repeated / max(len(dataset.item_indices), 1)


def _blocks_of_users(offsets: NDArray[np.int64]) -> Iterator[range]:
    """Yields ranges of users that cover all, with about `ROWS_A_BLOCK` rows each."""
    first, end = 0, len(offsets) - 1
    while first < end:
        beyond = int(np.searchsorted(offsets, offsets[first] + ROWS_A_BLOCK, side="right"))
        last = min(max(beyond - 1, first + 1), end)
        yield range(first, last)
        first = last


def cold_share(dataset: Dataset, split: Split) -> float:
    """Returns the share of the examples of `split` whose next item is cold; 0 without examples."""
    next_items = dataset.item_indices[dataset.all_example_rows(split)]
    if not len(next_items):
        return 0.0
    return float(np.mean(dataset.train_counts()[next_items] == 0))


if __name__ == "__main__":
    sys.exit(main())
