"""Bounds the number of keys, objects, lists and values in a JSON body before it is parsed.

Validation makes an error object for each unknown key, and a value takes many times its length in
memory. A megabyte of keys or values would block the event loop for a second.
"""

import numpy as np

MAX_STRUCTURE = 5000
"""Maximum number of keys, objects and lists in a body; a full batch request has 4,931."""

MAX_VALUES = 135_000
"""Maximum number of commas in a body; a batch request of 64 times 2,000 ids has 128,127."""

_BLOCK_BYTES = 1 << 16
_QUOTE, _LINE_FEED = ord('"'), ord("\n")


def has_too_much_structure(body: bytes, max_structure: int = MAX_STRUCTURE) -> bool:
    """Returns whether a body of JSON or NDJSON exceeds `max_structure` or `MAX_VALUES`.

    First counts the characters `:`, `[`, `{` and `,` in the whole body, even in strings, because
    this takes microseconds. If there are too many, counts again, outside of strings only.
    """
    if len(body) <= max_structure or not _exceeds(*_marks(body), max_structure):
        return False
    if b"\0" in body:  # UTF-16 or UTF-32, whose strings are not recognised here
        return True
    outside = _outside_of_strings(body.replace(b"\\\\", b"").replace(b'\\"', b""))
    return _exceeds(*_marks(outside), max_structure)


def _outside_of_strings(text: bytes) -> bytes:
    """Returns the bytes of `text` that are in no JSON string; `text` has no escaped quotes.

    A line feed ends a string, since no parser takes one there. Otherwise a line of NDJSON with one
    quote too many would hide all lines after it. Arrays, since lines may be as short as a byte, and
    of blocks, since those of a whole body take many times its length in memory.
    """
    outside, is_inside = [], 0
    for start in range(0, len(text), _BLOCK_BYTES):
        codes = np.frombuffer(text[start : start + _BLOCK_BYTES], np.uint8)
        quotes = np.cumsum(codes == _QUOTE, dtype=np.int32) + is_inside
        before_line = np.maximum.accumulate(np.where(codes == _LINE_FEED, quotes, 0))
        parity = (quotes - before_line) & 1
        outside.append(bytes(codes[parity == 0]))
        is_inside = parity[-1]
    return b"".join(outside)


def _marks(text: bytes) -> tuple[int, int]:
    """Returns the number of `:`, `[` and `{` in `text`, and the number of `,`."""
    return text.count(b":") + text.count(b"[") + text.count(b"{"), text.count(b",")


def _exceeds(structure: int, values: int, max_structure: int) -> bool:
    return structure > max_structure or values > MAX_VALUES
