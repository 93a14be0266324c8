"""Stores the ranks of an outside witness, so that reports show them as a row.

`benchmarks.rivals.rectools_ranker` trains RecTools' models in a separate environment. It writes a
ranking of items by each model for each held-out example. This program computes the rank of each
next item in these rankings. `training.ladder` then reports the ranks like those of any other row.

python -m training.ladder.witness configs/movielens.toml rankings.npz
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from training.cli import run, say
from training.data.dataset import HELD_OUT, Dataset, Split, indices_among
from training.data.storage import load_dataset
from training.errors import ResultError
from training.evaluation.rank_files import DAMAGE, split_key
from training.evaluation.yardstick import LIST_LENGTH, Ranker, evaluate
from training.ladder.plan.witnesses import WITNESSES, WitnessRun
from training.ladder.runs.store import RunFacts, RunStore
from training.provenance import commit, hardware
from training.settings.options import WORK, Config, Work
from training.workplace import open_experiment

Rankings = Annotated[Path, Parameter(help="The .npz file that the outside model's program wrote.")]
Out = Annotated[Path, Parameter(help="Folder of the reports and of their stored runs.")]


def command(
    config: Config, rankings: Rankings, /, *, work: Work = WORK, out: Out = Path("docs/results")
) -> None:
    """Store the rankings of an outside model as a row of the reports."""
    experiment, workplace = open_experiment(config, work)
    store = RunStore(out / "runs" / experiment.name, workplace.ladder, hardware())
    stored = store_witness(rankings, load_dataset(workplace.dataset), store)
    say(f"written: {store.file(stored).path}, {stored.name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns the exit code."""
    return run(command, "training.ladder.witness", arguments)


def store_witness(path: Path, dataset: Dataset, store: RunStore) -> WitnessRun:
    """Reads an outside model's rankings from `path`, and stores the ranks of next items in `store`.

    Returns the outside witness.

    Raises:
        ResultError: the file is damaged, belongs to another dataset or an unknown model, or ranks a
            seen item.
    """
    facts, rankings = _read(path, dataset)
    witness = WitnessRun(f"RecTools {facts['settings']['model']}", dataset)
    if witness.name not in WITNESSES:
        raise ResultError(f"{path}: model {witness.name!r} is none of {', '.join(WITNESSES)}")
    try:
        ranks = {split_key(split): _ranks(rankings[split], dataset, split) for split in HELD_OUT}
    except ValueError as error:
        raise ResultError(f"{path}: {error}") from error
    saved = RunFacts(
        f"{witness.name}, rectools {facts['rectools']}",
        facts["seconds"],
        store.machine,
        [commit()],
        facts["best_epoch"],
        settings=facts["settings"],
    )
    store.save_ranks(witness, ranks, saved)
    return witness


def _read(
    path: Path, dataset: Dataset
) -> tuple[Mapping[str, Any], Mapping[Split, NDArray[np.integer]]]:
    """Reads the facts about an outside model, and its rankings by split.

    A ranking consists of item indices; rankings are `[examples, LIST_LENGTH]`.

    Raises:
        ResultError: the file is damaged or was made for another dataset.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            facts: dict[str, Any] = json.loads(str(arrays["facts"]))
            rankings = {split: arrays[split_key(split)] for split in HELD_OUT}
    except DAMAGE as error:
        raise ResultError(f"{path}: not a file of rankings ({error})") from error
    if facts.get("fingerprint") != dataset.fingerprint:
        raise ResultError(
            f"{path}: made for dataset {facts.get('fingerprint')}, not {dataset.fingerprint}; "
            "train the model on the folder that `prepare` wrote"
        )
    for split, each in rankings.items():
        shape = (dataset.num_examples(split), LIST_LENGTH)
        if each.shape != shape or each.min() < 0 or each.max() >= dataset.catalog.num_rows:
            raise ResultError(
                f"{path}: {split_key(split)} has shape {each.shape} and items from {each.min()} to "
                f"{each.max()}; allowed are {shape} and 0 to {dataset.catalog.num_items}"
            )
    return facts, rankings


def _ranks(rankings: NDArray[np.integer], dataset: Dataset, split: Split) -> NDArray[np.int64]:
    every = dataset.all_example_rows(split)
    ranker: Ranker = lambda asked: rankings[indices_among(every, asked)]  # noqa: E731
    return evaluate(ranker, dataset, dataset.example_rows(split)).ranks


if __name__ == "__main__":
    sys.exit(main())
