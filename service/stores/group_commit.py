"""Group commit: records that arrive while the disk is busy are written together, with one fsync."""

import asyncio
import errno
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

logger = logging.getLogger(__name__)

_SECONDS_TO_SAVE = 0.25  # a disk that hangs must not hold up recommendations
_MAX_UNSAVED = 4_096  # records in memory that wait for the disk

_Result = TypeVar("_Result")


class DiskError(Exception):
    """A failure to write a record to the disk; the message has the reason."""


class DiskFullError(DiskError):
    """A lack of room for a record: the files have their maximum size, or the disk is full."""


class GroupCommit:
    """Writes records to the disk in groups: all that arrived during the last write go together.

    All file operations run in one thread, one after the other.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[bytes], None],
        on_written: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepares the thread; nothing is written before the first record.

        Args:
            name: name of the thread, and of the files in log messages.
            write: writes the joined records of a group to the disk; called in the thread. It may
                raise DiskError or OSError.
            on_written: called with the number of records in each group that was written.
        """
        self._name = name
        self._write = write
        self._on_written = on_written
        self._thread = ThreadPoolExecutor(1, name)
        self._unsaved: list[tuple[bytes, asyncio.Future[None]]] = []
        self._saving: asyncio.Task[None] | None = None
        self._fails = False

    async def append(self, record: bytes) -> None:
        """Writes a record; returns when the record is on the disk.

        Raises:
            DiskFullError: the files have their maximum size, or the disk is full.
            DiskError: the disk fails, or is too slow: `_MAX_UNSAVED` records wait already, or this
                one waits longer than `_SECONDS_TO_SAVE`. It may then still be written later.
        """
        if len(self._unsaved) >= _MAX_UNSAVED:
            raise DiskError(f"the disk is behind: {_MAX_UNSAVED} records wait to be written")
        saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unsaved.append((record, saved))
        if self._saving is None:
            self._saving = asyncio.create_task(self._save())
        try:
            async with asyncio.timeout(_SECONDS_TO_SAVE):
                await saved
        except TimeoutError as error:
            raise DiskError(f"the disk took more than {_SECONDS_TO_SAVE} s") from error

    async def run(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """Runs `work` with `arguments` in the thread, between two groups; returns its result."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def settle(self) -> None:
        """Waits until every record that was passed to `append` is written or has failed."""
        while self._saving is not None:
            await asyncio.wait([self._saving])

    def shut_down(self) -> None:
        """Ends the thread that writes to the disk."""
        self._thread.shutdown()

    async def _save(self) -> None:
        """Writes the records that wait, group by group; then their calls of `append` end."""
        while self._unsaved:
            group, self._unsaved = self._unsaved, []
            error: DiskError | None = None
            try:
                await self.run(self._write, b"".join(record for record, _ in group))
                self._on_written(len(group))
            except (DiskError, OSError) as failure:
                error = _as_disk_error(failure)
                if not self._fails:
                    logger.warning("events cannot be written to the %s: %s", self._name, failure)
            self._fails = error is not None
            for _, saved in group:
                _settle(saved, error)
        self._saving = None


def _as_disk_error(failure: DiskError | OSError) -> DiskError:
    if isinstance(failure, DiskError):
        return failure
    is_full = failure.errno in (errno.ENOSPC, errno.EDQUOT)
    return (DiskFullError if is_full else DiskError)(str(failure))


def _settle(saved: "asyncio.Future[None]", error: DiskError | None) -> None:
    if saved.done():  # the caller has given up
        return
    if error is None:
        saved.set_result(None)
    else:
        saved.set_exception(error)
