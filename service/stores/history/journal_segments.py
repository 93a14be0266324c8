"""Segments of a journal: files of records, each of which has a checksum.

The content of a record is a JSON array of session ref, item id, event id and time. Before it come
the content's length and its CRC-32, four bytes each in network byte order.
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
        ref: session ref of the session.
        item_id: id of the item.
        event_id: id of the event, so that it is stored only once.
        at: time of the event in µs since 1970, which decides its place in the history.
    """

    ref: str
    item_id: str
    event_id: str
    at: int

    def encoded(self) -> bytes:
        """Returns the record as the bytes that a segment stores."""
        content = orjson.dumps(tuple(self))
        return _HEAD.pack(len(content), zlib.crc32(content)) + content


class SegmentWriter:
    """Writes a new segment. Records are on the disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        """Creates the file `path`; raises OSError if it exists or cannot be created."""
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(path, flags, mode=0o600)
        sync_folder(path.parent)

    def write(self, records: bytes) -> None:
        """Appends encoded records to the file.

        Raises:
            OSError: the records could not be written. The file is cut back to its former length if
                the disk allows that.
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
    """Reads the records of a segment, up to the first one that is empty or fails its checksum.

    A last record that is shorter than its length is skipped, and does not count as damage. The
    process ended while it wrote this record, so it never reported the record as written.

    Returns:
        The records, and whether one is damaged.
    """
    content, records, begin = path.read_bytes(), list[Record](), 0
    while begin + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, begin)
        end = begin + _HEAD.size + length
        if end > len(content):
            break
        text = content[begin + _HEAD.size : end]
        # A tail of zeros, which a power cut can leave, is an empty text with the right checksum.
        if not text or zlib.crc32(text) != checksum:
            return records, True
        records.append(Record(*orjson.loads(text)))
        begin = end
    return records, False


def sync_folder(folder: Path) -> None:
    """Flushes the list of a folder's files to the disk, so that a new file survives a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
