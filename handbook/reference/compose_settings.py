"""Writes docs/reference/compose-settings.md: every value that the Compose stack takes."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.reference.json_schema import one_line, table

EXAMPLE = Path(__file__).parents[2] / ".env.example"
INTRODUCTION = """\
# Settings of the Compose stack

`docker compose` reads these values from its environment and from the file `.env`. Make that by
`cp .env.example .env`, and change what you need. After *unset* stands an example or, for a setting
of [the service](service-settings.md), what the service takes then.
[Production](../operations.md#production) needs a few of them.

`make reference` writes this page from `.env.example`. A test compares that with the Compose files.
"""
_BLOCK = re.compile(r"((?:^# .*\n)+)((?:^#?[A-Z_]+=.*\n)+)", re.MULTILINE)
_VALUE = re.compile(r"^(#?)([A-Z_]+)=(.*)$", re.MULTILINE)


def page() -> str:
    """Returns the text of the page."""
    return f"{INTRODUCTION}\n{table(('name', 'default', 'meaning'), _rows())}\n"


def _rows() -> Iterator[Sequence[str]]:
    """Yields a row for each comment of `.env.example`, with the values that follow it."""
    for comment, values in _BLOCK.findall(EXAMPLE.read_text(encoding="utf-8")):
        found = _VALUE.findall(values)
        names = "<br>".join(f"`{name}`" for _, name, _ in found)
        defaults = "<br>".join(_default(commented, value) for commented, _, value in found)
        yield names, defaults, one_line(comment.replace("\n# ", " ").removeprefix("# "))


def _default(commented: str, value: str) -> str:
    shown = f"`{value}`" if value else ""
    return f"unset {shown}".strip() if commented else shown
