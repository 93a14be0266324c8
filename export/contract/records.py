"""Records as JSON lines: written, read back and checked field by field. Standard library only."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Checks = Mapping[str, Callable[[object], bool]]
"""What may stand in each field of a record."""


class BundleError(Exception):
    """A bundle that cannot be used; the message names the folder or file and the reason."""


def write_lines(path: Path, records: Iterable[object]) -> int:
    """Writes one JSON value a line and tells how many."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_bytes("".join(lines).encode())
    return len(lines)


def numbered_lines(path: Path, text: bytes) -> Iterator[tuple[str, bytes]]:
    """Each line and its place."""
    # Not `splitlines`: a title may hold U+2028 and its like, which end no line of JSON.
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    for number, line in enumerate(lines, start=1):
        yield f"{path}: line {number}", line


def parse_object(place: str, text: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BundleError: `text` is none; the message names its `place`.
    """
    content = parse(place, text)
    if not isinstance(content, dict):
        raise BundleError(f"{place}: not a JSON object")
    return content


def parse(place: str, text: bytes) -> Any:
    """A JSON value.

    Raises:
        BundleError: `text` is none; the message names its `place`.
    """
    try:
        return json.loads(
            text.decode("utf-8"), parse_constant=_finite_number, parse_float=_finite_number
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{place}: not JSON ({error})") from None


def _finite_number(text: str) -> float:
    """`NaN` and `Infinity` are no JSON, and a number as large as 1e999 is read as one of them."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no number that JSON can hold")
    return number


_Record = TypeVar("_Record", bound="DataclassInstance")


def build(record: type[_Record], content: Mapping[str, Any], checks: Checks, place: str) -> _Record:
    """The record with the fields of `content`.

    Raises:
        BundleError: a field is missing, unknown, or holds what `checks` do not let pass.
    """
    names = {each.name for each in fields(record)}
    if odd := names ^ set(content):
        raise BundleError(f"{place}: keys missing or unknown: {', '.join(sorted(odd))}")
    for name, value in content.items():
        if not checks[name](value):
            raise BundleError(f"{place}: {name} = {value!r} is not what a bundle holds there")
    return record(**content)


def is_text(value: object) -> bool:
    """A string."""
    return isinstance(value, str)


def is_count(value: object) -> bool:
    """A number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: object) -> bool:
    """A number, whole or not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_object(value: object) -> bool:
    """An object of anything."""
    return isinstance(value, dict)


def is_text_by_name(value: object) -> bool:
    """An object of strings."""
    return isinstance(value, dict) and all(map(is_text, value.values()))


def is_texts(value: object) -> bool:
    """A list of strings."""
    return isinstance(value, list) and all(map(is_text, value))


def is_texts_by_name(value: object) -> bool:
    """An object of lists of strings."""
    return isinstance(value, dict) and all(map(is_texts, value.values()))
