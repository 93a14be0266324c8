"""Reads untrusted files safely: only regular files of a bounded size, no links, pipes or devices.

A bundle can come from anybody. In place of one of its files, a pipe would block the reader for
ever, and a device would fill the memory. A link could lead to any file of the reader's machine.
This module imports the standard library only.
"""

import hashlib
import mmap
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from export.contract.records import BundleError, shown

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would block the opening
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_BLOCK_SIZE = 2**20

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class AbsentFileError(BundleError):
    """A file that does not exist; the message names it."""


class UnreadableFileError(BundleError):
    """A file that the system fails or refuses to read; its content may be valid."""


def read_file(path: Path, at_most: int) -> bytes:
    """Returns the content of a regular file of at most `at_most` bytes.

    Raises:
        BundleError: the file is missing, too large, a link or otherwise not a regular file, or
            grows while it is read.
    """
    with _opened(path, at_most) as (file, size):
        content = file.read(size + 1)
    if len(content) > size:
        raise _growing(path)
    return content


def map_file(path: Path, at_most: int) -> mmap.mmap:
    """Maps a regular file of 1 to `at_most` bytes into memory, read-only.

    Processes that map the same file share its pages. The file must not be shortened while it is
    mapped.

    Raises:
        BundleError: the file is missing, empty, too large, a link or otherwise not a regular file.
    """
    with _opened(path, at_most) as (file, size):
        if not size:
            raise BundleError(f"{path}: empty")
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def read_verified(path: Path, at_most: int, sha256: str) -> bytes:
    """Returns the content of a file as `read_file` does; its hash must be `sha256`."""
    content = read_file(path, at_most)
    check_hash(path, hashlib.sha256(content).hexdigest(), sha256)
    return content


def map_verified(path: Path, at_most: int, sha256: str) -> mmap.mmap:
    """Maps a file as `map_file` does; its hash must be `sha256`."""
    content = map_file(path, at_most)
    check_hash(path, hashlib.sha256(content).hexdigest(), sha256)
    if hasattr(mmap, "MADV_DONTNEED"):  # this process need not hold what it has only hashed
        content.madvise(mmap.MADV_DONTNEED)
    return content


class OpenFile:
    """An open file, whose bytes are read when they are asked for: `file[begin:end]`. Thread-safe.

    What is read stays in the system's cache, and does not count as memory of the process, as pages
    of a mapped file do. The file is closed with the last reference to this object.
    """

    __slots__ = ("__weakref__", "_descriptor", "_size")

    def __init__(self, descriptor: int, size: int) -> None:
        """Takes over the open `descriptor` of a file with `size` bytes."""
        self._descriptor, self._size = descriptor, size
        weakref.finalize(self, os.close, descriptor)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: slice) -> bytes:
        begin, end, _ = place.indices(self._size)
        return os.pread(self._descriptor, max(0, end - begin), begin)


def open_verified(path: Path, at_most: int, sha256: str) -> OpenFile:
    """Opens a regular file of at most `at_most` bytes; its hash must be `sha256`.

    Raises:
        BundleError: the file is missing, too large, a link or otherwise not a regular file, or has
            another hash.
    """
    with _opened(path, at_most) as (file, size):
        check_hash(path, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
        return OpenFile(os.dup(file.fileno()), size)


def check_hash(path: Path, actual: str, expected: str) -> None:
    """Compares the SHA-256 of the file `path` with the one in the manifest.

    Raises:
        BundleError: they differ.
    """
    if actual != expected:
        raise BundleError(
            f"{path}: sha256 is {actual[:12]}…, but {shown(expected[:12])}… in the manifest; "
            "export the bundle again"
        )


def sha256_of(path: Path, at_most: int) -> str:
    """Returns the SHA-256 of a regular file of at most `at_most` bytes, in hexadecimal.

    The file is read block by block, so that it need not fit into memory.

    Raises:
        BundleError: the file is missing, too large, a link or otherwise not a regular file, or
            grows while it is read.
    """
    digest = hashlib.sha256()
    for block in blocks_of(path, at_most):
        digest.update(block)
    return digest.hexdigest()


def copy_file(path: Path, target: Path, at_most: int) -> None:
    """Copies a regular file of at most `at_most` bytes from `path` to `target`.

    Raises:
        BundleError: the file is missing, too large, a link or otherwise not a regular file, or
            grows while it is read.
    """
    with target.open("wb") as file:
        for block in blocks_of(path, at_most):
            file.write(block)


def blocks_of(path: Path, at_most: int) -> Iterator[bytes]:
    """Yields the content of a regular file of at most `at_most` bytes, block by block.

    Raises:
        BundleError: the file is missing, larger, a link or not a regular file, or grows while it is
            read.
    """
    with _opened(path, at_most) as (file, size):
        while block := file.read(_BLOCK_SIZE):
            size -= len(block)
            if size < 0:
                raise _growing(path)
            yield block


@contextmanager
def _opened(path: Path, at_most: int) -> Iterator[tuple[BufferedReader, int]]:
    """Context manager that yields a regular file, open for reading, and its size in bytes.

    Raises:
        AbsentFileError: there is no such file.
        UnreadableFileError: the system fails or refuses to open the file.
        BundleError: the file is not a regular file, or has more than `at_most` bytes.
    """
    try:
        with _open_regular(path) as file:
            status = os.fstat(file.fileno())
            if status.st_size > at_most:
                raise BundleError(f"{path}: {status.st_size:,} bytes, at most {at_most:,} are read")
            yield file, status.st_size
    except FileNotFoundError:
        raise AbsentFileError(f"{path}: missing") from None
    except OSError as error:
        raise UnreadableFileError(f"{path}: {error.strerror}") from None


def _open_regular(path: Path) -> BufferedReader:
    descriptor = _descriptor(path)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _not_regular(path, mode)
    return os.fdopen(descriptor, "rb")


def _descriptor(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except OSError:
        # On some systems, the error does not say that the path is a link or a socket.
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            raise
        raise _not_regular(path, mode) from None


def _not_regular(path: Path, mode: int) -> BundleError:
    kind = "a link" if stat.S_ISLNK(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")
    return BundleError(f"{path}: {kind}, expected a regular file")


def _growing(path: Path) -> BundleError:
    return BundleError(f"{path}: grows while it is read")
