"""Bounds the number of keys, objects, lists and values in a JSON body before it is parsed.

Validation makes an error object for each unknown key, and a value takes many times its length in
memory. A megabyte of keys or values would block the event loop for a second.
"""

MAX_STRUCTURE = 5000
"""Maximum number of keys, objects and lists in a body; a full batch request has 4,931."""

MAX_VALUES = 135_000
"""Maximum number of commas in a body; a batch request of 64 times 2,000 ids has 128,127."""

_CHUNK = 1 << 16


def has_too_much_structure(body: bytes, max_structure: int = MAX_STRUCTURE) -> bool:
    """Returns whether a JSON body exceeds `max_structure` or `MAX_VALUES`.

    First counts the characters `:`, `[`, `{` and `,` in the whole body, even in strings, because
    this takes microseconds. If there are too many, counts again, outside of strings only.
    """
    if len(body) <= max_structure or not _exceeds(*_marks(body), max_structure):
        return False
    if b"\0" in body:  # UTF-16 or UTF-32, whose strings are not recognised here
        return True
    structure = values = 0
    is_string = 0
    body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    for start in range(0, len(body), _CHUNK):
        # Each quote begins or ends a string, so every second part is outside of strings.
        parts = body[start : start + _CHUNK].split(b'"')
        marks = _marks(b"".join(parts[is_string::2]))
        is_string ^= ~len(parts) & 1
        structure, values = structure + marks[0], values + marks[1]
        if _exceeds(structure, values, max_structure):
            return True
    return False


def _marks(text: bytes) -> tuple[int, int]:
    """Returns the number of `:`, `[` and `{` in `text`, and the number of `,`."""
    return text.count(b":") + text.count(b"[") + text.count(b"{"), text.count(b",")


def _exceeds(structure: int, values: int, max_structure: int) -> bool:
    return structure > max_structure or values > MAX_VALUES
