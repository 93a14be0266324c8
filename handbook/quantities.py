"""Finds the quantities in the prose of documents, and compares them with records of measurements.

A *quantity* is a number with a unit, with decimals, or with a thousands separator, such as
`3.18 ms`, `0.45 times` or `2,500`. Code, links, comments, generated passages and claims with an
interval are no prose: other tests compare those.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from handbook.figures import CLAIM

_UNITS: Mapping[str, tuple[str, float]] = {
    "%": ("", 0.01),
    "times": ("", 1),
    "µs": ("s", 1e-6),
    "ms": ("s", 1e-3),
    "s": ("s", 1),
    "minutes": ("s", 60),
    "hours": ("s", 3600),
    "bytes": ("B", 1),
    "MB": ("B", 1e6),
    "GB": ("B", 1e9),
    "TB": ("B", 1e12),
    "MiB": ("B", 2**20),
    "GiB": ("B", 2**30),
    "cores": ("", 1),
    "users": ("", 1),
    "$": ("$", 1),
}
"""Maps a unit to its dimension and to its size in the base unit of that dimension."""

_QUANTITY = re.compile(
    r"(?<![\w.,@/-])(?P<number>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?![\w-]|[.,]\d)"
    rf"(?:(?:(?:,| and| to) \d[\d.]*)* ?(?P<unit>{'|'.join(map(re.escape, _UNITS))})(?!\w))?"
)
"""Matches one number; in `0.7 and 8.2 ms` each of both has the unit that ends the list."""
_NO_PROSE = re.compile(
    r"^```.*?^```"  # code
    r"|<!-- (?P<name>[^:>]+): python -m .*?<!-- end: (?P=name) -->"  # generated passages
    r"|<!--.*?-->|<[^<>]+>|`[^`]*`|\]\([^)]*\)",  # comments, HTML, code, targets of links
    re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_SLACK = 1.001  # halves are rounded up or to even
_COARSEST = 0.05  # largest relative tolerance: the zeros of 100 are not all rounded


@dataclass(frozen=True)
class Quantity:
    """A number as a document states it, in the base unit of its dimension.

    Attributes:
        text: number and unit, as written.
        value: the number.
        dimension: base unit; empty for shares and counts.
        tolerance: half a unit of its last digit.
    """

    text: str
    value: float
    dimension: str
    tolerance: float

    def is_any_of(self, numbers: Iterable[tuple[float, str]]) -> bool:
        """Whether one of `numbers`, each with its dimension, rounds to this quantity."""
        return any(
            dimension == self.dimension and abs(number - self.value) <= self.tolerance
            for number, dimension in numbers
        )


def sections(text: str) -> Mapping[str, str]:
    """Returns the prose of a Markdown document by heading, which is empty before the first one.

    Sections with the same heading are joined.
    """
    before, *rest = _HEADING.split(_NO_PROSE.sub(" … ", text))
    found = {"": before}
    for heading, prose in zip(rest[::2], rest[1::2], strict=True):
        found[heading] = f"{found.get(heading, '')}\n{prose}"
    return found


def quantities(prose: str) -> Iterator[Quantity]:
    """Yields the quantities of `prose`, except those in claims with an interval."""
    flat = CLAIM.sub(" … ", re.sub(r"\s+", " ", prose))
    begin = 0
    while match := _QUANTITY.search(flat, begin):
        number, unit, begin = match["number"], match["unit"], match.end("number")
        if unit is not None or re.search("[.,]", number):
            yield _quantity(number, unit)


def recorded(path: Path, name: str) -> Iterator[tuple[float, str]]:
    """Yields the numbers of a figure in a report or record, in base units, with their dimension.

    Those are its value, the ends of its interval and its target.

    Raises:
        ValueError: the file has no such figure.
    """
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    figure = next((each for each in figures if each["name"] == name), None)
    if figure is None:
        raise ValueError(f"{path}: no figure {name!r}")
    dimension, size = _UNITS.get(re.split("[ /]", figure["unit"])[0], ("", 1.0))
    for key in ("value", "low", "high", "at_most", "at_least"):
        if figure.get(key) is not None:
            yield figure[key] * size, dimension


def _quantity(number: str, unit: str | None) -> Quantity:
    dimension, size = _UNITS[unit] if unit else ("", 1.0)
    digits = number.replace(",", "")
    whole, _, decimals = digits.partition(".")
    zeros = 0 if decimals else len(whole) - len(whole.rstrip("0"))
    half = 0.5 * 10 ** (zeros - len(decimals)) * _SLACK
    exact = 0.5 * 10 ** -len(decimals) * _SLACK
    tolerance = max(exact, min(half, _COARSEST * float(digits)))
    text = f"{number} {unit}" if unit else number
    return Quantity(text, float(digits) * size, dimension, tolerance * size)
