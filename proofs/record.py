"""Writes the record of a proof, its figures with their targets, to `docs/proofs/NAME.json`.

A proof is a program that takes minutes and checks a promise that no quick test can check. The
record is a JSON object with the keys command, commit, date, hardware and figures.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from training.cli import say
from training.errors import ConfigError
from training.provenance import hardware
from training.stage import write_text

_SMALL = 1e-3

FOLDER = Path(__file__).parents[1] / "docs" / "proofs"


@dataclass(frozen=True)
class Figure:
    """A measured value with its targets. Creating it also prints it.

    Attributes:
        name: name of the value in the record.
        unit: unit of the value.
        value: the measured value; infinity if there was nothing to measure.
        low: lower end of the 95 % interval; None without an interval.
        high: upper end of the 95 % interval; None without an interval.
        at_most: largest value that meets the target; None if there is no such target.
        at_least: smallest value that meets the target; None if there is no such target.
    """

    name: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        missed = "" if self.holds else "  MISSES ITS TARGET"
        say(f"{self.name}: {self.value:.4g} {self.unit}{missed}")

    @property
    def holds(self) -> bool:
        """Whether the value meets its targets; true without a target."""
        at_least = float("-inf") if self.at_least is None else self.at_least
        at_most = float("inf") if self.at_most is None else self.at_most
        return at_least <= self.value <= at_most

    def as_json(self) -> dict[str, Any]:
        """Returns the fields that are not None, rounded as `_rounded` does."""
        return {
            name: _rounded(value) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if value is not None
        }


def _rounded(value: float) -> float | None:
    """Rounds to four decimals; a smaller value keeps two significant digits.

    Returns None for infinity, which JSON lacks.
    """
    if not isfinite(value):
        return None
    return round(value, 4) if abs(value) >= _SMALL else float(f"{value:.2g}")


def save_proof(path: Path, words: Sequence[str], proven: str, figures: Sequence[Figure]) -> bool:
    """Writes the record of a proof to `path`.

    Args:
        path: the JSON file.
        words: arguments of `python -m proofs` that ran the proof.
        proven: the commit at which it began.
        figures: figures of the proof.

    Returns:
        Whether all figures meet their targets.

    Raises:
        ConfigError: there are no figures, so the record of before stays.
    """
    if not figures:
        raise ConfigError(f"{shlex.join(words)}: these options leave nothing to measure")
    proof = {
        "command": f"python -m proofs {shlex.join(words)}",
        "commit": proven,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hardware": hardware(),
        "figures": [each.as_json() for each in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(proof, indent=2) + "\n")
    say(f"written: {path}")
    return all(each.holds for each in figures)
