"""Names the columns of a bundle's items, and opens the file that holds them.

The file is in the format of safetensors: the length of a header, the header in JSON, the columns.
Everything in it can be computed again from `items.jsonl`.
"""

import json
import mmap
import struct
import sys
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Literal

from export.contract.records import BundleError

COLUMNS_FROM = 262_144
"""Number of items from which a bundle has columns. Fewer are parsed in two seconds."""

COLUMNS: Mapping[str, str] = {
    "starts": "U64",  # [items + 1], place in items.jsonl at which the line of each item begins
    "title_starts": "U64",  # [items + 1], place in `titles` at which each title begins
    "checks": "U64",  # [items], further bytes of the ids' hashes, in the order of `hashes`
    "hashes": "U32",  # [items], first bytes of the ids' hashes, ascending
    "items_by_hash": "U32",  # [items], item indices in the order of `hashes`, then ascending
    "by_popularity": "U32",  # [items], item indices, most popular first, then ascending
    "unread": "U32",  # item indices of the items that the student does not read, ascending
    "postings": "U32",  # item indices by attribute value, ascending for each value
    "values": "U8",  # JSON: [name, value, number of postings] of each attribute value
    "titles": "U8",  # case-folded titles in the order of `by_popularity`, a line feed after each
}
"""The columns and their types, in the order in which they lie in the file."""

TYPE_CODES: Mapping[str, Literal["Q", "I", "B"]] = {"U64": "Q", "U32": "I", "U8": "B"}
"""Codes of the types in the modules `array` and `struct`."""

_MAX_HEADER = 4_096
_ALIGNMENT = 8
_LENGTH = "<Q"

Columns = Mapping[str, memoryview]
"""The columns by name."""


HASH_PARTS = struct.Struct("<IQ")
"""Parts of the hash of an item id, in the columns `hashes` and `checks`."""


def hash_of(item_id: str) -> bytes:
    """Returns the hash of an item id, 96 bits of BLAKE2b. No two ids are expected to share one.

    Raises:
        UnicodeEncodeError: the id has a lone surrogate, which no item's id has.
    """
    return blake2b(item_id.encode(), digest_size=HASH_PARTS.size).digest()


def write_header(file: BinaryIO, sizes: Mapping[str, int]) -> None:
    """Writes the header of a file of columns.

    `sizes`: number of elements of each column, in the order of `COLUMNS`.
    """
    content, end = {}, 0
    for name, kind in COLUMNS.items():
        begin, end = end, end + sizes[name] * struct.calcsize(TYPE_CODES[kind])
        content[name] = {"dtype": kind, "shape": [sizes[name]], "data_offsets": [begin, end]}
    text = json.dumps(content).encode()
    header = text.ljust(-(-len(text) // _ALIGNMENT) * _ALIGNMENT)
    file.write(struct.pack(_LENGTH, len(header)) + header)


def open_columns(path: Path, content: mmap.mmap, num_items: int) -> Columns:
    """Returns the columns in `content`, the mapped file `path`.

    Raises:
        BundleError: the file is not of the form that is written for `num_items` items, or this
            machine has another order of bytes.
    """
    if sys.byteorder != "little":
        raise BundleError(f"{path}: can only be read on a little-endian machine")
    try:
        (length,) = struct.unpack_from(_LENGTH, content)
        begin = struct.calcsize(_LENGTH)
        header = json.loads(content[begin : begin + min(length, _MAX_HEADER)])
        data = memoryview(content)[begin + length :]
        columns = {name: _column(data, header[name], kind) for name, kind in COLUMNS.items()}
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise BundleError(f"{path}: not columns of items ({error})") from None
    for name, expected in _lengths(num_items).items():
        if len(columns[name]) != expected:
            raise BundleError(f"{path}: {name} has length {len(columns[name])}, not {expected}")
    return columns


def release(column: memoryview) -> None:
    """Gives the memory of the file that has `column` back to the system, which can read it again.

    What one rare question has read would stay memory of the process.
    """
    if isinstance(column.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        column.obj.madvise(mmap.MADV_DONTNEED)


def _lengths(num_items: int) -> Mapping[str, int]:
    each = dict.fromkeys(("checks", "hashes", "items_by_hash", "by_popularity"), num_items)
    return each | dict.fromkeys(("starts", "title_starts"), num_items + 1)


def _column(data: memoryview, described: Mapping[str, Any], kind: str) -> memoryview:
    begin, end = described["data_offsets"]
    if described["dtype"] != kind or not 0 <= begin <= end <= len(data):
        raise ValueError(f"a column of {described}")
    return data[begin:end].cast(TYPE_CODES[kind])
