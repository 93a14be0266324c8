"""Reads and writes records as lines of JSON, and checks the value of every field.

A record is a dataclass whose fields are the keys of a JSON object. This module imports the standard
library only.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class BundleError(Exception):
    """A bundle that cannot be used; the message names its folder or file, and the reason."""


@dataclass(frozen=True)
class Check:
    """A rule that the value of a field must pass.

    Attributes:
        expected: description of the allowed values, for error messages.
        passes: function that returns whether a value is allowed.
    """

    expected: str
    passes: Callable[[object], bool]


MAX_LINE_LENGTH = 2**16
"""Maximum length of a line of JSON in bytes."""
MAX_LINES = 20_000_000
"""Maximum number of lines of a file."""
MAX_NUMBER = 2**53
"""Maximum absolute value of a whole number: larger ones lose digits where JSON has only floats."""
MAX_DEPTH = 32
"""Maximum nesting depth of lists and objects in a JSON value."""
MAX_ID_LENGTH = 256
"""Maximum number of characters of an id or a name."""
MAX_TITLE_LENGTH = 4_096
"""Maximum number of characters of a title."""
_SHOWN_LENGTH = 120

Checks = Mapping[str, Check]
"""The check of each field of a record, by field name."""


def write_lines(path: Path, records: Iterable[object]) -> int:
    """Writes each record as one line of JSON to the file `path`; returns the number of lines.

    A file that exists is replaced. `records` are values that JSON can represent.
    """
    lines = 0
    with path.open("wb") as file:
        for record in records:
            file.write(f"{json.dumps(record, ensure_ascii=False)}\n".encode())
            lines += 1
    return lines


def numbered_lines(path: Path, text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the lines of `text`, the content of the file `path`, as pairs of place and line.

    The place is a text with path and line number, for error messages.

    Raises:
        BundleError: there are more than `MAX_LINES` lines, or a line is longer than
            `MAX_LINE_LENGTH`.
    """
    # Not `splitlines`: a title may contain U+2028 and the like, which do not end a line of JSON.
    if (count := text.count(b"\n")) > MAX_LINES:
        raise BundleError(f"{path}: {count:,} lines, at most {MAX_LINES:,} are read")
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    for number, line in enumerate(lines, start=1):
        place = f"{path}: line {number}"
        if len(line) > MAX_LINE_LENGTH:
            raise BundleError(f"{place}: {len(line):,} bytes, at most {MAX_LINE_LENGTH:,} are read")
        yield place, line


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
        raise BundleError(f"{place}: not JSON ({shown(error)})") from None


def _finite_number(text: str) -> float:
    """Converts the text of a JSON number to a float.

    Raises:
        ValueError: the number is `NaN` or `Infinity`, or too large for a float, such as 1e999.
    """
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{shown(text)} is not a finite number")
    return number


def shown(value: object) -> str:
    """Returns `str(value)` in a form for error messages.

    A text of more than 120 characters is cut. If a character is unprintable, such as a line feed,
    all non-ASCII and control characters are escaped.
    """
    text = str(value)[: _SHOWN_LENGTH + 1]
    if len(text) > _SHOWN_LENGTH:
        text = text[:_SHOWN_LENGTH] + "…"
    return printable(text)


def printable(text: str) -> str:
    """Returns `text`; if a character is unprintable, non-ASCII and control ones are escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _repr(value: object) -> str:
    try:
        return shown(repr(value))
    except ValueError:  # a whole number with more digits than Python converts to text
        return "a number of thousands of digits"


def check_values(place: str, value: object, depth: int = 0) -> None:
    """Checks the strings, the whole numbers and the nesting depth of a JSON value.

    Args:
        place: where the value was read, for error messages.
        value: a JSON value.
        depth: number of lists and objects around `value`; 0 for the outermost value.

    Raises:
        BundleError: a string cannot be written as UTF-8, the absolute value of a whole number
            exceeds `MAX_NUMBER`, or the value is nested deeper than `MAX_DEPTH`.
    """
    if depth > MAX_DEPTH:
        raise BundleError(f"{place}: more than {MAX_DEPTH} lists and objects within each other")
    if isinstance(value, str):
        if not is_writable(value):
            raise BundleError(f"{place}: {_repr(value)} is not a string of Unicode characters")
    elif isinstance(value, int):
        if abs(value) > MAX_NUMBER:
            raise BundleError(f"{place}: {_repr(value)}, whole numbers are at most {MAX_NUMBER}")
    elif isinstance(value, dict | list):
        for each in (*value, *value.values()) if isinstance(value, dict) else value:
            check_values(place, each, depth + 1)


def is_writable(text: str) -> bool:
    """Returns whether a string can be written as UTF-8; one with a lone surrogate cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


_Record = TypeVar("_Record", bound="DataclassInstance")


def build(record: type[_Record], content: Mapping[str, Any], checks: Checks, place: str) -> _Record:
    """Makes a record of the dataclass `record` from the values in `content`.

    Args:
        record: the dataclass of the record.
        content: values by field name.
        checks: the check of every field, by field name.
        place: where the record was read, for error messages.

    Raises:
        BundleError: a field is missing or unknown, or its value fails its check.
    """
    names = {each.name for each in fields(record)}
    if problems := [
        f"{problem} keys: {shown(', '.join(sorted(keys)))}"
        for problem, keys in (("missing", names - set(content)), ("unknown", set(content) - names))
        if keys
    ]:
        raise BundleError(f"{place}: {'; '.join(problems)}")
    for name, value in content.items():
        if not checks[name].passes(value):
            raise BundleError(f"{place}: {name} = {_repr(value)}, expected {checks[name].expected}")
    return record(**content)


def one_of(*values: str) -> Check:
    """Returns a check that allows only the strings `values`."""
    return Check(" or ".join(map(repr, values)), lambda value: value in values)


def optional(check: Check) -> Check:
    """Returns a check that allows null and the values that `check` allows."""
    return Check(f"{check.expected}, or null", lambda value: value is None or check.passes(value))


def text_of(at_most: int, at_least: int = 0) -> Check:
    """Returns a check that allows strings of `at_least` to `at_most` characters.

    A string with a lone surrogate, which UTF-8 cannot write, is not allowed.
    """
    length = f"{at_least} to {at_most:,}" if at_least else f"at most {at_most:,}"

    def passes(value: object) -> bool:
        return isinstance(value, str) and at_least <= len(value) <= at_most and is_writable(value)

    return Check(f"a string of {length} characters", passes)


def whole_number(at_least: int, at_most: int, expected: str = "") -> Check:
    """Returns a check that allows whole numbers from `at_least` to `at_most`, both included.

    `expected` describes the allowed numbers in error messages; "" stands for a default text.
    """
    return Check(
        expected or f"a whole number, {at_least} to {at_most}",
        lambda value: _is_whole_number(value) and at_least <= value <= at_most,  # type: ignore[operator]
    )


def list_of(check: Check) -> Check:
    """Returns a check that allows lists whose elements all pass `check`."""
    return Check(
        f"a list, each {check.expected}",
        lambda value: isinstance(value, list) and all(map(check.passes, value)),
    )


def object_of(check: Check) -> Check:
    """Returns a check that allows JSON objects whose values all pass `check`.

    Their keys must be strings of at most `MAX_ID_LENGTH` characters.
    """
    return Check(
        f"an object, each value {check.expected}",
        lambda value: (
            isinstance(value, dict)
            and all(map(NAME.passes, value))
            and all(map(check.passes, value.values()))
        ),
    )


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


ID = text_of(MAX_ID_LENGTH, at_least=1)
NAME = text_of(MAX_ID_LENGTH)
TITLE = text_of(MAX_TITLE_LENGTH)
TEXT = text_of(MAX_LINE_LENGTH)
IDS = list_of(ID)
FLAG = Check("true or false", lambda value: isinstance(value, bool))
WHOLE_NUMBER = whole_number(-MAX_NUMBER, MAX_NUMBER, "a whole number")
COUNT = whole_number(0, MAX_NUMBER, "a whole number, 0 or more")
NUMBER = Check("a number", _is_number)
OBJECT = Check("an object", lambda value: isinstance(value, dict))
TEXT_BY_NAME = object_of(NAME)
TEXTS_BY_NAME = object_of(list_of(TITLE))
OBJECTS = Check(
    "a list of objects",
    lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
)
