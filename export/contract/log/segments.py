"""Segments: append-only files of records with checksums.

A record is the length of its content, the CRC-32 of its content, and the content. Length and CRC-32
are four bytes each, in network byte order. The journal of the history store and the event log on
disk are folders of segments. This module imports the standard library only.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_HEAD = struct.Struct("!II")


class SegmentWriter:
    """Writes a new segment. Records are on the disk when `write` returns.

    Attributes:
        path: path of the segment's file.
        size: size of the file in bytes.
    """

    def __init__(self, path: Path) -> None:
        """Creates the file `path`; raises OSError if it exists or cannot be created."""
        self.path = path
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(path, flags, mode=0o600)
        sync_folder(path.parent)

    def write(self, records: bytes) -> None:
        """Appends records to the file; returns when they are on the disk.

        Args:
            records: one or more records, each framed by `framed`, joined.

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


def framed(content: bytes) -> bytes:
    """Returns the bytes of a segment's record with the given content, which must not be empty."""
    return _HEAD.pack(len(content), zlib.crc32(content)) + content


def read_segment(path: Path) -> tuple[Sequence[bytes], bool]:
    """Reads the contents of a segment's records, up to the first damaged record.

    A record is damaged if it is empty or fails its checksum. An incomplete last record is skipped
    and does not count as damaged: the process ended while writing it, and never reported it as
    written.

    Returns:
        The contents before the damage, and whether a record is damaged.
    """
    segment, contents, begin = path.read_bytes(), list[bytes](), 0
    while begin + _HEAD.size <= len(segment):
        length, checksum = _HEAD.unpack_from(segment, begin)
        end = begin + _HEAD.size + length
        if end > len(segment):
            break
        content = segment[begin + _HEAD.size : end]
        # A tail of zeros, which a power cut can leave, is an empty content with the right checksum.
        if not content or zlib.crc32(content) != checksum:
            return contents, True
        contents.append(content)
        begin = end
    return contents, False


def sync_folder(folder: Path) -> None:
    """Flushes a folder's directory entries to the disk, so that a new file survives a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
