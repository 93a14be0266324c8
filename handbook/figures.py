"""Compares the figures that documents state with those that commands have measured.

A *claim* is a value with its interval in a document, such as `0.0625 [0.0530, 0.0740]` or
`16 % [9 %, 25 %]`. It is *measured* if a report or a table in `docs/results` has the same value and
the same interval, rounded to as many decimals as the claim has.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_NUMBER = r"[+-]?\d[\d,]*(?:\.\d+)?"
CLAIM = re.compile(
    rf"(?P<value>{_NUMBER})(?P<percent> ?%)? \[(?P<low>{_NUMBER})(?: ?%)?,\s+"
    rf"(?P<high>{_NUMBER})(?:\s?%)?\]"
)
_DIRECTION = re.compile(r"(?: of [\w@]+)? (?:(above|better|more)|(below|worse|fewer))\b")
_COMMIT = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,12}\b")
_SLACK = 1.001  # of half a unit of the last decimal, since halves are rounded up or to even


@dataclass(frozen=True)
class Claim:
    """A value with its interval, as a document states it.

    Attributes:
        text: the claim in the words of the document.
        numbers: value, lower and upper end, as written.
        is_relative: whether they are per cent.
        sentence: the sentence that the claim stands in.
        direction: 1 if the word after it tells a gain, such as "above"; -1 if it tells a loss, such
            as "below"; 0 if it tells neither.
    """

    text: str
    numbers: tuple[str, str, str]
    is_relative: bool
    sentence: str
    direction: int = 0

    @property
    def names_a_commit(self) -> bool:
        """Whether its sentence names the commit at which it can be read, as its report is gone."""
        return self.commit is not None

    @property
    def commit(self) -> str | None:
        """The commit that its sentence names, abbreviated; None if it names none."""
        found = _COMMIT.search(self.sentence)
        return found and found[0]


@dataclass(frozen=True)
class Measured:
    """A measured value with its interval; in per cent if `is_relative`.

    `report` is the name of the report that has it.
    """

    value: float
    low: float
    high: float
    is_relative: bool
    report: str = ""


def claims(text: str) -> Iterator[Claim]:
    """Yields the claims of a document, in order."""
    flat = re.sub(r"\s+", " ", text)
    for match in CLAIM.finditer(flat):
        numbers = (match["value"], match["low"], match["high"])
        begin = max(flat.rfind(". ", 0, match.start()), flat.rfind(" - ", 0, match.start()), 0)
        end = flat.find(". ", match.end())
        sentence = flat[begin : end if end >= 0 else len(flat)]
        is_relative = match["percent"] is not None
        yield Claim(match[0], numbers, is_relative, sentence, _direction(flat[match.end() :]))


def _direction(after: str) -> int:
    """Returns the direction of a claim from the text after it."""
    if not (found := _DIRECTION.match(after)):
        return 0
    return 1 if found[1] else -1


def measured_figures(folder: Path) -> list[Measured]:
    """Returns the figures of all reports in `folder`, and of their tables."""
    found: list[Measured] = []
    for path in sorted(folder.glob("*.md")):
        for claim in claims(path.read_text(encoding="utf-8")):
            value, low, high = map(_as_number, claim.numbers)
            found.append(Measured(value, low, high, claim.is_relative, path.stem))
    for path in sorted(folder.glob("*.csv")):
        found += _rows(path)
    return found


def is_measured(claim: Claim, figures: Sequence[Measured]) -> bool:
    """Whether one of `figures` is what the document states.

    A difference may be stated as a loss: then all three numbers have the other sign. Where the word
    after the claim does not tell which, both signs are tried.
    """
    stated = [(_as_number(text), _SLACK * 0.5 * 10 ** -_decimals(text)) for text in claim.numbers]
    return any(
        claim.is_relative == each.is_relative
        and (
            (claim.direction >= 0 and _agree(stated, (each.value, each.low, each.high)))
            or (claim.direction <= 0 and _agree(stated, (-each.value, -each.high, -each.low)))
        )
        for each in figures
    )


def _agree(stated: Iterable[tuple[float, float]], numbers: Iterable[float]) -> bool:
    """Whether each stated number is as near to its measured one as its tolerance says."""
    pairs = zip(stated, numbers, strict=True)
    return all(abs(number - measured) <= tolerance for (number, tolerance), measured in pairs)


def _rows(path: Path) -> Iterator[Measured]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            value = row.get("mean") or row.get("difference")
            if value and row["low"] and row["high"]:
                numbers = float(value), float(row["low"]), float(row["high"])
                yield Measured(*numbers, False, path.stem.removesuffix("-pairs"))


def _as_number(text: str) -> float:
    return float(text.replace(",", ""))


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])
