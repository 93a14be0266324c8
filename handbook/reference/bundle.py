"""Writes docs/reference/bundle.md: the files of a bundle and the fields of its manifest."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import griffe

from export.contract.layout import BundleLayout
from export.contract.manifest import ABSENT_BEFORE_4, SCHEMA_VERSION, Figure, Manifest
from handbook.reference.json_schema import one_line, table

INTRODUCTION = f"""\
# Bundle

A bundle is a folder that `export` writes and the service serves. `manifest.json` describes it, with
the SHA-256 of each other file. This is schema {SCHEMA_VERSION}; bundles of schema 3 can be served
too.
`distilled-recommender bundle show BUNDLE` prints a summary, with `--json` the whole manifest.

`make reference` writes this page from `export/contract`.
"""
FILES = (
    "items",
    "item_columns",
    "model",
    "common_case",
    "table",
    "item_codes",
    "item_encoder",
    "histories",
    "manifest",
    "signature",
)


def page() -> str:
    """Returns the text of the page."""
    head = ("field", "type", "since", "meaning")
    return (
        "\n\n".join(
            (
                INTRODUCTION + "\n## Files",
                table(("file", "content"), _files()),
                "## Manifest",
                table(head, _fields(Manifest)),
                f"## Figures\n\nEach element of `figures` is {_lower(Figure.__doc__)}",
                table(head, _fields(Figure)),
            )
        )
        + "\n"
    )


def _files() -> Iterator[Sequence[str]]:
    for name in FILES:
        described = getattr(BundleLayout, name)
        path = described.fget(BundleLayout(Path()))
        meaning = one_line(described.__doc__ or "").removeprefix("Path of ")
        yield f"`{path.name}`", f"{meaning[:1].upper()}{meaning[1:]}"


def _fields(kind: type[Manifest] | type[Figure]) -> Iterator[Sequence[str]]:
    meanings = attributes(kind)
    for each in fields(kind):
        since = str(SCHEMA_VERSION) if kind is Figure or each.name in ABSENT_BEFORE_4 else ""
        yield f"`{each.name}`", _type_name(each.type), since, meanings[each.name]


def attributes(kind: type) -> dict[str, str]:
    """Returns the section `Attributes` of a class's docstring: meaning by name."""
    parsed = griffe.Docstring(kind.__doc__ or "", parser="google").parse(warnings=False)
    sections = (each for each in parsed if each.kind is griffe.DocstringSectionKind.attributes)
    return {each.name: one_line(each.description) for section in sections for each in section.value}


def _type_name(annotation: Any) -> str:
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    text = getattr(annotation, "__name__", str(annotation))
    if text.startswith("Mapping") or "Mapping" in str(annotation):
        text = "object or null" if "None" in str(annotation) else "object"
    elif "Sequence" in str(annotation):
        text = "list of figures"
    elif "None" in str(annotation):
        text = "whole number or null"
    return names.get(text, text)


def _lower(text: str | None) -> str:
    line = one_line((text or "").partition("\n\n")[0])
    return f"{line[:1].lower()}{line[1:]}"
