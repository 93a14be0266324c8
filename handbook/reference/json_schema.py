"""Formats JSON schemas, which pydantic and OpenAPI give, as words and tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.results.markdown import markdown_table

Schema = Mapping[str, Any]

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}
FORMATS = {"path": "path", "password": "secret text"}
# Keywords of JSON schema for the two ends of a range of sizes, and what the sizes count.
SIZES = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "elements"),
    ("minProperties", "maxProperties", "keys"),
)
# Keywords of JSON schema for numbers, each with the words before its value.
LIMITS = {
    "exclusiveMinimum": "more than",
    "minimum": "at least",
    "exclusiveMaximum": "less than",
    "maximum": "at most",
}


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Returns a Markdown table; a `|` within a cell is escaped."""
    return markdown_table(head, ([cell.replace("|", r"\|") for cell in row] for row in rows))


def type_in_words(schema: Schema) -> str:
    """Returns the type of a JSON schema with its choices and limits, such as "number, at most 1".

    A referenced schema is named, as a link to the heading with its name.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if any_of := schema.get("anyOf"):
        return "; or ".join(dict.fromkeys(map(type_in_words, any_of)))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    return ", ".join([_plain_type(schema), *_limits(schema)])


def default_in_words(schema: Schema) -> str:
    """Returns the default of a JSON schema as code, in JSON; empty if it has none or null."""
    default = schema.get("default")
    if default is None:
        return ""
    return f"`{default if default and isinstance(default, str) else json.dumps(default)}`"


def field_rows(schema: Schema) -> Iterator[Sequence[str]]:
    """Yields a row for each field of an object: name, type, default and description.

    The default of a required field is the word "required".
    """
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else default_in_words(field)
        yield f"`{name}`", type_in_words(field), default, one_line(field.get("description", ""))


def setting_rows(schema: Schema) -> Iterator[Sequence[str]]:
    """Yields the rows of `field_rows` for settings, in which null means that one is unset."""
    for name, allowed, default, meaning in field_rows(schema):
        yield name, allowed.removesuffix("; or null"), default or "unset", meaning


def one_line(text: str) -> str:
    """Returns the text with every run of white space replaced by a space."""
    return " ".join(text.split())


def _plain_type(schema: Schema) -> str:
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {type_in_words(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {type_in_words(values)}" if isinstance(values, Mapping) else "object"
    plain = TYPES.get(kind, str(kind))
    return FORMATS.get(schema.get("format", ""), plain)


def _limits(schema: Schema) -> Iterator[str]:
    for keyword, words in LIMITS.items():
        if keyword in schema:
            yield f"{words} {schema[keyword]:,}"
    for low, high, unit in SIZES:
        if low in schema and high in schema:
            yield f"{schema[low]:,} to {schema[high]:,} {unit}"
        elif low in schema:
            yield f"at least {schema[low]:,} {unit if schema[low] > 1 else unit[:-1]}"
        elif high in schema:
            yield f"at most {schema[high]:,} {unit}"
