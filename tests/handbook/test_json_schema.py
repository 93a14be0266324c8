"""JSON schemas in words."""

from typing import Any

import pytest

from handbook.reference.json_schema import default_in_words, field_rows, table, type_in_words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 3_600},
            "whole number, at least 1, at most 3,600",
        ),
        ({"type": "string", "minLength": 1, "maxLength": 128}, "text, 1 to 128 characters"),
        ({"type": "string", "format": "password"}, "secret text"),
        ({"enum": ["text", "json"], "type": "string"}, "`text`, `json`"),
        (
            {"type": "array", "items": {"type": "number"}, "maxItems": 5},
            "list of number, at most 5 elements",
        ),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number; or null"),
        ({"$ref": "#/components/schemas/Reason"}, "[Reason](#reason)"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of text"),
        ({}, "any value"),
    ],
)
def test_a_type_is_told_with_its_limits(schema: dict[str, Any], words: str) -> None:
    assert type_in_words(schema) == words


@pytest.mark.parametrize(
    ("default", "words"),
    [
        (True, "`true`"),
        ("refuse", "`refuse`"),
        ("", '`""`'),
        (0.5, "`0.5`"),
        (None, ""),
        ([], "`[]`"),
    ],
)
def test_a_default_is_written_as_it_is_set(default: object, words: str) -> None:
    assert default_in_words({"default": default}) == words


def test_a_required_field_says_so() -> None:
    schema = {
        "required": ["k"],
        "properties": {"k": {"type": "integer", "description": "how\nmany"}},
    }
    assert list(field_rows(schema)) == [("`k`", "whole number", "required", "how many")]


def test_a_cell_may_hold_the_sign_that_ends_cells() -> None:
    assert table(["a"], iter([["x|y"]])).splitlines()[-1] == r"| x\|y |"
