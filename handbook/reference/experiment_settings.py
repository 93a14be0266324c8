"""Writes docs/reference/experiment-settings.md: every setting of an experiment."""

from collections.abc import Iterator, Mapping
from typing import Any

from handbook.reference.json_schema import one_line, setting_rows, table
from training.settings.experiment import Experiment

INTRODUCTION = """\
# Settings of an experiment

An experiment is a TOML file, such as `configs/example.toml`. An unknown setting is an error. Every
stage reads the same file. A *list* is written in brackets, as `seeds = [0, 1]`.

`make reference` writes this page from `training/settings`.
"""
HEAD = ("setting", "allowed", "default", "meaning")


def page() -> str:
    """Returns the text of the page."""
    schema = Experiment.model_json_schema()
    sections = "\n".join(_sections("", schema, schema["$defs"]))
    return f"{INTRODUCTION}\n{sections}"


def _sections(path: str, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[str]:
    """Yields the text of a section of the file, then of the sections within it."""
    yield f"## {f'`[{path}]`' if path else 'First lines'}\n"
    if path:
        yield f"{one_line(schema.get('description', ''))}\n"
    nested = {name: parts[ref] for name, ref in _references(schema)}
    plain = {name: each for name, each in schema["properties"].items() if name not in nested}
    plain.pop("other_teachers", None)
    if plain:
        yield f"{table(HEAD, setting_rows({**schema, 'properties': plain}))}\n"
    for name, section in nested.items():
        yield from _sections(f"{path}.{name}" if path else name, section, parts)
    if not path:
        yield f"## `[other_teachers.KIND]`\n\n{_other_teachers(schema)}\n"


def _references(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields name and schema of each section within a section; it may be optional."""
    for name, field in schema["properties"].items():
        for each in (field, *field.get("anyOf", ())):
            if "$ref" in each:
                yield name, each["$ref"].rpartition("/")[2]


def _other_teachers(schema: Mapping[str, Any]) -> str:
    meaning: str = schema["properties"]["other_teachers"]["description"]
    return f"{meaning[:1].upper()}{meaning[1:]}."
