"""Turns interactions and titles into a dataset, `work/<name>/dataset`.

python -m training.prepare configs/movielens.toml
"""

import sys
from collections.abc import Sequence

import numpy as np

from training.cli import run, say
from training.data.build import build_dataset
from training.data.dataset import Dataset, Split, count_splits
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
    return "\n".join(lines)


def cold_share(dataset: Dataset, split: Split) -> float:
    """Returns the share of the examples of `split` whose next item is cold; 0 without examples."""
    next_items = dataset.item_indices[dataset.all_example_rows(split)]
    if not len(next_items):
        return 0.0
    return float(np.mean(dataset.train_counts()[next_items] == 0))


if __name__ == "__main__":
    sys.exit(main())
