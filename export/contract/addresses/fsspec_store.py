"""Reads objects at any other address that fsspec supports, such as `hf://datasets/me/shop`.

fsspec has no conditional write, so nothing is published to these addresses.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from threading import Semaphore
from typing import Any, TypeVar

import fsspec

from export.contract.addresses.daemon_threads import in_daemon_thread
from export.contract.addresses.object_store import Stored, StoreError, missing, too_large
from export.contract.records import BundleError, shown

_BLOCK_SIZE = 2**23
_REQUEST_SECONDS = 20
"""Maximum time of one request: to open an object, which may connect, or to read a block of it."""
_MAX_HANGING_REQUESTS = 8
"""Number of requests of one store that may go on after `_REQUEST_SECONDS`, each in a thread."""

_T = TypeVar("_T")


class FsspecStore:
    """The objects under an address, read with the library that fsspec has for its scheme."""

    def __init__(self, address: str) -> None:
        """Checks that fsspec has a library for the address's scheme; raises BundleError if not."""
        self.address = address
        self._opened: tuple[Any, str] | None = None  # some libraries connect when they are opened
        self._free_threads = Semaphore(_MAX_HANGING_REQUESTS)
        try:
            fsspec.get_filesystem_class(address.partition("://")[0])
        except ValueError as error:
            raise BundleError(f"{address}: {shown(error)}") from None

    def read(self, name: str, at_most: int) -> Stored | None:
        """Implements `ObjectStore.read`."""
        try:
            content = b"".join(self.blocks(name, at_most))
        except _AbsentError:
            return None
        return Stored(content, "")

    def blocks(self, name: str, at_most: int) -> Iterator[bytes]:
        """Implements `ObjectStore.blocks`."""
        place, size = f"{self.address}/{name}", 0
        for block in self._all_blocks(name, place):
            size += len(block)
            if size > at_most:
                raise too_large(place, size, at_most)
            yield block

    def _all_blocks(self, name: str, place: str) -> Iterator[bytes]:
        try:
            file = self._in_time(lambda: self._open(name))
            try:
                while block := self._in_time(lambda: file.read(_BLOCK_SIZE)):
                    yield block
            finally:
                self._in_time(file.close)
        except FileNotFoundError:
            raise _AbsentError(str(missing(place))) from None
        except Exception as error:  # fsspec's libraries have no common base class of errors
            raise StoreError(f"{place}: {type(error).__name__}: {shown(error)}") from None

    def _open(self, name: str) -> Any:  # fsspec has no types
        files, root = self._opened = self._opened or fsspec.core.url_to_fs(self.address)
        files.invalidate_cache()
        return files.open(f"{root}/{name}", "rb")

    def _in_time(self, request: Callable[[], _T]) -> _T:
        """Calls `request` in a thread of its own and returns its result.

        This limits the time of a request, since fsspec's libraries have no common option for it.

        Raises:
            TimeoutError: there is no result within `_REQUEST_SECONDS`; the thread goes on. Or
                `_MAX_HANGING_REQUESTS` threads go on already, so `request` is not called.
        """
        if not self._free_threads.acquire(blocking=False):
            raise TimeoutError(f"{_MAX_HANGING_REQUESTS} requests before have not ended")

        def counted() -> _T:
            try:
                return request()
            finally:
                self._free_threads.release()

        future = in_daemon_thread(counted)
        if wait([future], _REQUEST_SECONDS).not_done:
            raise TimeoutError(f"no answer within {_REQUEST_SECONDS:g} s")
        return future.result()

    def upload(self, name: str, path: Path) -> None:  # noqa: ARG002 - of the protocol
        """Raises BundleError, because these addresses can only be read."""
        raise self._read_only()

    def replace(self, name: str, content: bytes, expected: str | None) -> None:  # noqa: ARG002
        """Raises BundleError, because these addresses can only be read."""
        raise self._read_only()

    def _read_only(self) -> BundleError:
        return BundleError(
            f"{self.address}: cannot be published to, because it has no conditional write; publish "
            "to s3://, gs://, az:// or file://"
        )


class _AbsentError(BundleError):
    """An object that does not exist; the message names it."""
