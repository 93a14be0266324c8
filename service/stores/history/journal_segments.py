"""Segments of a journal: files of events, each with a checksum.

A record is its length and CRC-32, four bytes each in network order, and a JSON array of ref, item
id, event id and time.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import orjson

_HEAD = struct.Struct("!II")


class Record(NamedTuple):
    """An event to store later.

    Attributes:
        ref: ref of the session.
        item_id: the item.
        event_id: id of the event, by which it is stored once.
        at: time of the event in µs since 1970, by which it finds its place in the history.
    """

    ref: str
    item_id: str
    event_id: str
    at: int

    def encoded(self) -> bytes:
        """Returns the bytes of the record in a segment."""
        content = orjson.dumps(tuple(self))
        return _HEAD.pack(len(content), zlib.crc32(content)) + content


class SegmentWriter:
    """Writes a new segment; every write is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        """Makes the file; raises OSError."""
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(path, flags, mode=0o600)
        sync_folder(path.parent)

    def write(self, records: bytes) -> None:
        """Adds encoded records.

        Raises:
            OSError: the records are not stored; the file is cut back to its former length.
        """
        try:
            written = 0
            while written < len(records):
                written += os.write(self._file, records[written:])
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(records)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def read_segment(path: Path) -> tuple[Sequence[Record], bool]:
    """Reads a segment.

    Returns:
        The records before the first damage, and whether there is damage. A last record that is
        incomplete is no damage: the process ended while it wrote, and acknowledged nothing of it.
    """
    content, records, begin = path.read_bytes(), list[Record](), 0
    while begin + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, begin)
        end = begin + _HEAD.size + length
        if end > len(content):
            break
        text = content[begin + _HEAD.size : end]
        if zlib.crc32(text) != checksum:
            return records, True
        records.append(Record(*orjson.loads(text)))
        begin = end
    return records, False


def sync_folder(folder: Path) -> None:
    """Writes the entries of a folder to the disk, so that a new file outlives a power failure."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
