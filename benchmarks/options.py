"""What every benchmark is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results.figures import Findings


@dataclass(frozen=True)
class Setting:
    """Where things lie, and whether a short look is enough.

    Attributes:
        work: the folder of all stages, `work`.
        peers_python: an interpreter that has the other servers.
        core_hour: what a core costs for an hour, in dollars.
    """

    work: Path
    is_quick: bool
    peers_python: Path
    core_hour: float

    @property
    def subjects(self) -> Path:
        """Where the measured bundles are kept."""
        return self.work / "bench"

    def either(self, thorough: float, quick: float) -> float:
        """One of the two."""
        return quick if self.is_quick else thorough


Benchmark = Callable[[Setting], Findings]
