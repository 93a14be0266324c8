"""The segments that a worker writes, one after the other, in a locked folder of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from export.contract.log.segments import SegmentWriter
from export.contract.log.worker_folders import make_folder, release, segments_of

SEGMENT_BYTES = 1 << 20
"""Size of a segment from which on the next records begin another one."""


class WorkerSegments:
    """Writes records to segments. Its methods block, so they are called in a thread."""

    def __init__(
        self,
        parent: Path,
        suffix: str,
        *,
        check_room: Callable[[], None] = lambda: None,
        complete: Callable[[Path], object] = lambda _: None,
    ) -> None:
        """Makes no file; the first record creates folder and segment.

        Args:
            parent: folder of the folders of all workers.
            suffix: suffix of the segment that is being written.
            check_room: called before a segment is created; raises OSError if there may be no more.
            complete: called with the path of a segment to which nothing more is written.
        """
        self._parent = parent
        self._suffix = suffix
        self._check_room = check_room
        self._complete = complete
        self._folder: tuple[Path, int] | None = None
        self._segment: SegmentWriter | None = None
        self._path = parent  # of the segment that is being written
        self._num_segments = 0

    def write(self, records: bytes) -> None:
        """Writes records to the disk.

        Raises:
            OSError: the disk fails. The next call begins another segment, since the content of
                this one is unknown.
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
        """Completes the segment that is being written, if there is one."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._complete(self._path)

    def paths(self) -> Sequence[Path]:
        """Returns the paths of this worker's complete segments, oldest first."""
        return [] if self._folder is None else segments_of(self._folder[0])

    def close(self) -> None:
        """Completes the last segment and gives up the folder."""
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
