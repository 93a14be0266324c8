"""Reads objects at any other address that fsspec supports, such as `hf://datasets/me/shop`.

fsspec has no conditional write, so nothing is published to these addresses.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from export.contract.addresses.object_store import Stored, StoreError, missing, too_large
from export.contract.addresses.timed_requests import TimedRequests
from export.contract.records import BundleError, shown

_BLOCK_SIZE = 2**23


class FsspecStore:
    """The objects under an address, read with the library that fsspec has for its scheme."""

    def __init__(self, address: str) -> None:
        """Checks that fsspec has a library for the address's scheme; raises BundleError if not."""
        self.address = address
        self._opened: tuple[Any, str] | None = None  # some libraries connect when they are opened
        self._requests = TimedRequests()  # fsspec's libraries have no common limit of time
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
            file = self._requests.call(lambda: self._open(name))
            try:
                while block := self._requests.call(lambda: file.read(_BLOCK_SIZE)):
                    yield block
            finally:
                self._requests.call_last(file.close)
        except TimeoutError as error:
            self._opened = None  # its connection may be lost
            raise StoreError(f"{place}: {shown(error)}") from None
        except FileNotFoundError:
            raise _AbsentError(str(missing(place))) from None
        except Exception as error:  # fsspec's libraries have no common base class of errors
            raise StoreError(f"{place}: {type(error).__name__}: {shown(error)}") from None

    def _open(self, name: str) -> Any:  # fsspec has no types
        files, root = self._opened = self._opened or _connected(self.address)
        files.invalidate_cache()
        return files.open(f"{root}/{name}", "rb")

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


def _connected(address: str) -> tuple[Any, str]:
    """Returns a new file system of fsspec, and the path of `address` in it."""
    files, root = fsspec.core.url_to_fs(address, skip_instance_cache=True)
    return files, root


class _AbsentError(BundleError):
    """An object that does not exist; the message names it."""
