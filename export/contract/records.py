"""Reads and writes records as JSON lines and checks every field. Standard library only."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class BundleError(Exception):
    """Raised for an unusable bundle; the message names the folder or file, and the reason."""


@dataclass(frozen=True)
class Check:
    """A rule for the value of a field.

    Attributes:
        expected: description of the allowed values, for error messages.
        passes: function that returns whether a value is allowed.
    """

    expected: str
    passes: Callable[[object], bool]


Checks = Mapping[str, Check]
"""Maps each field name of a record to the check of its value."""


def write_lines(path: Path, records: Iterable[object]) -> int:
    """Writes one JSON value per line; returns the number of lines."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_bytes("".join(lines).encode())
    return len(lines)


def numbered_lines(path: Path, text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields each line of `text`, the content of file `path`, after its place for messages."""
    # Not `splitlines`: a title may contain U+2028 and the like, which do not end a line of JSON.
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    for number, line in enumerate(lines, start=1):
        yield f"{path}: line {number}", line


def parse_object(place: str, text: bytes) -> dict[str, Any]:
    """Parses `text` as a JSON object.

    Raises:
        BundleError: `text` is not a JSON object; the message begins with `place`.
    """
    content = parse(place, text)
    if not isinstance(content, dict):
        raise BundleError(f"{place}: not a JSON object")
    return content


def parse(place: str, text: bytes) -> Any:
    """Parses `text` as any JSON value.

    Raises:
        BundleError: `text` is not JSON; the message begins with `place`.
    """
    try:
        return json.loads(
            text.decode("utf-8"), parse_constant=_finite_number, parse_float=_finite_number
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{place}: not JSON ({error})") from None


def _finite_number(text: str) -> float:
    """Converts a number; refuses `NaN` and `Infinity`, which are not JSON, and 1e999 (too big)."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return number


_Record = TypeVar("_Record", bound="DataclassInstance")


def build(record: type[_Record], content: Mapping[str, Any], checks: Checks, place: str) -> _Record:
    """Creates a `record` whose fields are the values of `content`.

    Args:
        record: the dataclass to create.
        content: values by field name.
        checks: the check of every field, by field name.
        place: where the record was read, for messages.

    Raises:
        BundleError: a field is missing, unknown, or fails its check.
    """
    names = {each.name for each in fields(record)}
    if problems := [
        f"{problem} keys: {', '.join(sorted(keys))}"
        for problem, keys in (("missing", names - set(content)), ("unknown", set(content) - names))
        if keys
    ]:
        raise BundleError(f"{place}: {'; '.join(problems)}")
    for name, value in content.items():
        if not checks[name].passes(value):
            raise BundleError(f"{place}: {name} = {value!r}, expected {checks[name].expected}")
    return record(**content)


def one_of(*values: str) -> Check:
    """Returns a check that allows only the strings `values`."""
    return Check(" or ".join(map(repr, values)), lambda value: value in values)


def optional(check: Check) -> Check:
    """Returns a check that allows null besides the values that `check` allows."""
    return Check(f"{check.expected}, or null", lambda value: value is None or check.passes(value))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_whole_number(value) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_object_of(value: object, is_member: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(map(is_member, value.values()))


TEXT = Check("a string", _is_text)
TEXTS = Check("a list of strings", _is_list_of_texts)
FLAG = Check("true or false", lambda value: isinstance(value, bool))
WHOLE_NUMBER = Check("a whole number", _is_whole_number)
COUNT = Check("a whole number, 0 or more", _is_count)
NUMBER = Check("a number", _is_number)
OBJECT = Check("an object", lambda value: isinstance(value, dict))
TEXT_BY_NAME = Check("an object of strings", lambda value: _is_object_of(value, _is_text))
TEXTS_BY_NAME = Check(
    "an object of lists of strings", lambda value: _is_object_of(value, _is_list_of_texts)
)
OBJECTS = Check(
    "a list of objects",
    lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
)
