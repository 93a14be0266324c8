"""The record of a proof: its figures with their bars, written to `docs/proofs/NAME.json`.

A proof is a command that takes minutes and shows a promise that a test cannot show in seconds. The
record has the shape `{command, commit, date, hardware, figures}`.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.cli import say
from training.provenance import commit, hardware
from training.stage import write_text

FOLDER = Path(__file__).parents[1] / "docs" / "proofs"


@dataclass(frozen=True)
class Figure:
    """A measured value, printed when it is made.

    Attributes:
        low, high: ends of its 95 % interval, if it has one.
        at_most, at_least: its bar, if it has one.
    """

    name: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        say(f"{self.name}: {self.value:.4g} {self.unit}{'' if self.holds else '  MISSES ITS BAR'}")

    @property
    def holds(self) -> bool:
        """Whether the value keeps to the bar."""
        at_least = float("-inf") if self.at_least is None else self.at_least
        at_most = float("inf") if self.at_most is None else self.at_most
        return at_least <= self.value <= at_most

    def as_json(self) -> dict[str, Any]:
        """The fields that are set, numbers rounded to four places."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if value is not None
        }


def save_proof(path: Path, words: Sequence[str], figures: Sequence[Figure]) -> bool:
    """Writes the record of `python -m proofs WORDS`.

    Returns:
        Whether all figures hold.
    """
    proof = {
        "command": f"python -m proofs {shlex.join(words)}",
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hardware": hardware(),
        "figures": [each.as_json() for each in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(proof, indent=2) + "\n")
    say(f"written: {path}")
    return all(each.holds for each in figures)
