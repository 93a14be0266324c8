"""Options of a benchmark run, and the checkout that it runs in."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
"""Root folder of the checkout."""


@dataclass(frozen=True)
class Options:
    """The command line of `python -m benchmarks`, as benchmarks need it.

    Attributes:
        work: folder with the results of all pipeline stages.
        is_quick: short runs, fewer repetitions, no training.
        peers_python: interpreter of the environment that has the other servers installed.
        core_hour: price of one CPU core for one hour, in dollars.
    """

    work: Path
    is_quick: bool
    peers_python: Path
    core_hour: float

    @property
    def bundles(self) -> Path:
        """Folder that keeps the measured bundles from one run to the next."""
        return self.work / "bench"

    def pick(self, full: T, *, quick: T) -> T:
        """Returns `quick` in a quick run, else `full`."""
        return quick if self.is_quick else full
