"""Defines the options of a benchmark run, and the folder of the checkout."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
"""Root folder of the checkout."""


@dataclass(frozen=True)
class Options:
    """The options of `python -m benchmarks` that a benchmark reads.

    Attributes:
        work: folder that the stages of training and export write into.
        is_quick: whether runs are short, with fewer repetitions and without training.
        peers_python: Python interpreter whose environment has the peer servers.
        core_hour: price of one CPU core for one hour, in dollars.
        against: root folder of another checkout, with which `request_cost` compares this one; None:
            it compares the service with its necessary parts.
    """

    work: Path
    is_quick: bool
    peers_python: Path
    core_hour: float
    against: Path | None = None

    @property
    def bundles(self) -> Path:
        """Folder of the bundles that benchmarks export; they are kept for later runs."""
        return self.work / "bench"

    @property
    def given(self) -> str:
        """The options that decide what is measured, as words of a command line."""
        against = "" if self.against is None else f" --against {self.against}"
        return f"{' --quick' if self.is_quick else ''}{against}"

    def pick(self, full: T, *, quick: T) -> T:
        """Returns `quick` if this is a quick run, else `full`."""
        return quick if self.is_quick else full
