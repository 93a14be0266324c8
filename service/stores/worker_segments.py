"""Writes the segments of a worker, one after the other, in a locked folder of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from export.contract.log.segments import SegmentWriter
from export.contract.log.worker_folders import make_folder, release, segments_of

SEGMENT_BYTES = 1 << 20
"""Size of a segment in bytes beyond which records are written to a new one."""


class WorkerSegments:
    """Writes records to the segments of one worker, in a folder that the worker keeps locked.

    All methods block, so they are called in a thread.
    """

    def __init__(
        self,
        parent: Path,
        suffix: str,
        *,
        check_room: Callable[[], None] = lambda: None,
        complete: Callable[[Path], object] = lambda _: None,
    ) -> None:
        """Makes a writer without files; the first record creates the folder and a segment.

        Args:
            parent: folder that contains the folders of all workers.
            suffix: suffix of the file of a segment that is being written: `.log` or `.open`.
            check_room: called before a segment is created; raises DiskError to refuse the segment.
            complete: called with the path of each segment when it gets no further records.
        """
        self._parent = parent
        self._suffix = suffix
        self._check_room = check_room
        self._complete = complete
        self._folder: tuple[Path, int] | None = None
        self._segment: SegmentWriter | None = None
        self._path = parent  # of the current segment
        self._num_segments = 0

    def write(self, records: bytes) -> None:
        """Writes records, each framed by `segments.framed`; returns when they are on the disk.

        Raises:
            OSError: the disk fails. The next call begins another segment, since the content of the
                current one is then unknown.
            DiskError: `check_room` refuses another segment.
        """
        segment = self._segment
        if segment is None or segment.size + len(records) > SEGMENT_BYTES:
            segment = self._open()
        try:
            segment.write(records)
        except OSError:
            self.seal()
            raise

    def seal(self) -> None:
        """Closes the current segment, if there is one; the next record begins another."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._complete(self._path)

    def paths(self) -> Sequence[Path]:
        """Returns the paths of this worker's `.log` segments, oldest first."""
        return [] if self._folder is None else segments_of(self._folder[0])

    def close(self) -> None:
        """Closes the current segment and unlocks the folder, which is removed if it is empty."""
        self.seal()
        if self._folder is not None:
            release(dict([self._folder]))

    def _open(self) -> SegmentWriter:
        self._check_room()
        if self._folder is None:
            self._folder = make_folder(self._parent)
        self.seal()
        self._num_segments += 1
        self._path = self._folder[0] / f"{self._num_segments:08}{self._suffix}"
        self._segment = SegmentWriter(self._path)
        return self._segment
