"""Stores one ranker's ranks of next items in an `.npz` file, with facts such as its settings.

The array `facts` holds a JSON object as text. Each other array holds the ranks of the examples of
one split as `uint8`, from 1; 0 if the next item is not among the first `LIST_LENGTH`.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset, Split
from training.errors import ResultError
from training.evaluation.yardstick import Evaluation, Scorer, evaluate, ranker_of
from training.progress import ProgressBar, counting
from training.stage import write_arrays

# Exceptions that numpy and zipfile raise for a damaged file.
DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class RankFile:
    """The file of one ranker's ranks on the held-out examples of `dataset`.

    Every method that reads raises a ResultError if the file is missing or damaged.

    Attributes:
        path: path of the file, which need not exist.
        dataset: dataset of the examples.
    """

    path: Path
    dataset: Dataset

    def facts(self) -> dict[str, Any]:
        """Reads the facts about the ranker that were saved with the ranks, by name."""
        try:
            facts: dict[str, Any] = json.loads(str(self._read("facts")))
        except ValueError as error:
            raise self.damaged() from error
        return facts

    def evaluation(self, split: Split) -> Evaluation:
        """Reads the ranks of all examples of `split`; ranks of other splits are not read."""
        return Evaluation(self.dataset.example_rows(split), self.ranks(split_key(split), split))

    def evaluations(self) -> dict[Split, Evaluation]:
        """Reads the ranks of every held-out split that has examples."""
        return {split: self.evaluation(split) for split in held_out_examples(self.dataset)}

    def ranks(self, name: str, split: Split) -> NDArray[np.int64]:
        """Reads the array `name`, which holds the rank of each example of `split`, `[examples]`."""
        ranks = self._read(name)
        if ranks.shape != self.dataset.example_rows(split).shape:
            raise self.damaged()
        return ranks.astype(np.int64)

    def save(self, facts: Mapping[str, Any], ranks: Mapping[str, NDArray[np.integer]]) -> None:
        """Writes the file atomically; an existing file is replaced.

        Args:
            facts: JSON values by name.
            ranks: by array name, the rank of each example of a split, `[examples]`, at most 255.
        """
        arrays = {name: each.astype(np.uint8) for name, each in ranks.items()}
        write_arrays(self.path, facts=np.array(json.dumps(facts)), **arrays)

    def damaged(self) -> ResultError:
        """Returns a ResultError whose message names this file and asks to delete it."""
        return ResultError(
            f"{self.path}: damaged, or not made for dataset {self.dataset.name!r}; delete the file "
            "and run the command again"
        )

    def _read(self, name: str) -> NDArray[np.generic]:
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                array: NDArray[np.generic] = arrays[name]
                return array
        except DAMAGE as error:
            raise self.damaged() from error


def held_out_ranks(scorer: Scorer, dataset: Dataset, name: str) -> dict[str, NDArray[np.int64]]:
    """Ranks the held-out examples with `scorer`; returns the ranks of their next items.

    Args:
        scorer: scorer to measure.
        dataset: dataset of the examples.
        name: name of the ranker on the progress bar.

    Returns:
        Ranks, `[examples]`, by the `split_key` of each held-out split that has examples.
    """
    rows = held_out_examples(dataset)
    with ProgressBar(f"measuring {name}", sum(map(len, rows.values())), "example") as bar:
        ranker = counting(ranker_of(scorer, dataset), bar)
        return {
            split_key(split): evaluate(ranker, dataset, each).ranks for split, each in rows.items()
        }


def held_out_examples(dataset: Dataset) -> dict[Split, NDArray[np.int64]]:
    """Returns the dataset rows of the examples of each held-out split that has examples.

    In the view of a refit, validation rows are training rows, so the validation split has none.
    """
    rows = {split: dataset.example_rows(split) for split in HELD_OUT}
    return {split: each for split, each in rows.items() if len(each)}


def split_key(split: Split) -> str:
    """Returns the name of a split in stored files, such as `validation`."""
    return split.name.lower()
