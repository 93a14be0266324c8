"""Selects the lines that a report compares: the refits if there are any, else all lines."""

from collections.abc import Sequence
from dataclasses import replace

from training.ladder.results.measured import Measured

REFITTED_NOTE = (
    "Refitted: when validation had chosen settings and epochs, each row was trained once more on "
    "training and validation interactions, for as many epochs, and then ranked the test examples. "
    "Cold bonuses were taken over, not fitted again. Titles have nothing to fit, and the teachers' "
    "own answers are those of before. *Cold before*: no training interaction with the item, so the "
    "cold targets of the tables before refitting."
)


def headlines(lines: Sequence[Measured]) -> list[Measured]:
    """Returns the lines that a report compares.

    If a student was refitted, these are all refits and the teachers' own answers. Otherwise they
    are the lines that were fitted on training rows only.
    """
    if not _has_refits(lines):
        return [line for line in lines if line.protocol == "train"]
    return [_beside_refits(line) for line in lines if line.protocol == "refit" or line.is_teacher]


def trained_alone(lines: Sequence[Measured]) -> list[Measured]:
    """Returns the lines that were fitted on training rows only, for a report that has refits.

    The list is empty if no student was refitted, since `headlines` then returns these lines.
    """
    return [line for line in lines if line.protocol == "train"] if _has_refits(lines) else []


def _has_refits(lines: Sequence[Measured]) -> bool:
    return any(line.student and line.protocol == "refit" for line in lines)


def _beside_refits(line: Measured) -> Measured:
    """Returns a copy of `line` with the protocol `refit`, to be compared with refits.

    Both are then measured on the same cold items. A refit has fewer of them, since it is trained
    on validation rows too.
    """
    return replace(line, protocol="refit")
