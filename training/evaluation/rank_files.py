"""Files of ranks, `.npz`: the ranks of one ranker on the held-out examples, and facts about it.

The array `facts` is a JSON object. Each other array holds the ranks of one split as `uint8`:
places from 1, and 0 where the next item is not among the first `LIST_LENGTH`.
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

# Raised by numpy and zipfile when a file is damaged.
DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class RankFile:
    """The file of one ranker's ranks on the held-out examples of `dataset`.

    Every method that reads raises a ResultError where the file is missing or damaged.
    """

    path: Path
    dataset: Dataset

    def facts(self) -> dict[str, Any]:
        """The JSON object that was saved beside the ranks."""
        try:
            facts: dict[str, Any] = json.loads(str(self._read("facts")))
        except ValueError as error:
            raise self.damaged() from error
        return facts

    def evaluation(self, split: Split) -> Evaluation:
        """Ranks of all examples of one split; the other split is not read."""
        return Evaluation(self.dataset.example_rows(split), self.ranks(split_key(split), split))

    def ranks(self, name: str, split: Split) -> NDArray[np.int64]:
        """The array `name`, `[examples of split]`."""
        ranks = self._read(name)
        if ranks.shape != self.dataset.example_rows(split).shape:
            raise self.damaged()
        return ranks.astype(np.int64)

    def save(self, facts: Mapping[str, Any], ranks: Mapping[str, NDArray[np.integer]]) -> None:
        """Writes the file, whole or not at all."""
        arrays = {name: each.astype(np.uint8) for name, each in ranks.items()}
        write_arrays(self.path, facts=np.array(json.dumps(facts)), **arrays)

    def damaged(self) -> ResultError:
        """The error that names this file as damaged."""
        return ResultError(
            f"{self.path}: not a whole run of {self.dataset.name!r}; delete the file, and the same "
            "command makes it again"
        )

    def _read(self, name: str) -> NDArray[np.generic]:
        try:
            with self.path.open("rb") as file, np.load(file) as arrays:
                array: NDArray[np.generic] = arrays[name]
                return array
        except DAMAGE as error:
            raise self.damaged() from error


def held_out_ranks(scorer: Scorer, dataset: Dataset, name: str) -> dict[str, NDArray[np.int64]]:
    """Ranks that `scorer` gives to the next items of each held-out split, by array name.

    `name` is that of the ranker, on the progress bar.
    """
    rows = {split: dataset.example_rows(split) for split in HELD_OUT}
    with ProgressBar(f"measuring {name}", sum(map(len, rows.values())), "example") as bar:
        ranker = counting(ranker_of(scorer, dataset), bar)
        return {
            split_key(split): evaluate(ranker, dataset, rows[split]).ranks for split in HELD_OUT
        }


def split_key(split: Split) -> str:
    """The name of a split in files: `validation` or `test`."""
    return split.name.lower()
