"""Reads and writes objects as files in a local folder, at an address `file:///…`.

The folder can be on a mounted volume.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from export.contract.addresses.object_store import LostRaceError, Stored, StoreError, missing
from export.contract.folders import locked, whole_file
from export.contract.reading import (
    AbsentFileError,
    UnreadableFileError,
    blocks_of,
    copy_file,
    read_file,
)
from export.contract.records import BundleError

_MAX_UPLOAD = 2**40
_PARTIAL_NAME = ".upload.partial"
"""Temporary name of an upload, one in each folder: a killed upload's is overwritten by the next."""


class LocalStore:
    """The files under a local folder, as a store.

    A conditional write locks this folder, an upload locks the folder of the object.
    """

    def __init__(self, address: str) -> None:
        """Takes an address such as `file:///mnt/shop`; the folder need not exist.

        Raises:
            BundleError: the address has a host, or its path is not absolute.
        """
        path = address.removeprefix("file://")  # all of it: folders may have ? and # in their names
        if not path.startswith("/"):
            raise BundleError(f"{address}: expected an absolute path, as in file:///mnt/bundles")
        self.address = address
        self._folder = Path(unquote(path))

    def read(self, name: str, at_most: int) -> Stored | None:
        """Implements `ObjectStore.read`."""
        try:
            content = read_file(self._folder / name, at_most)
        except AbsentFileError:
            return None
        except UnreadableFileError as error:
            raise StoreError(str(error)) from None
        return Stored(content, hashlib.sha256(content).hexdigest())

    def blocks(self, name: str, at_most: int) -> Iterator[bytes]:
        """Implements `ObjectStore.blocks`."""
        try:
            yield from blocks_of(self._folder / name, at_most)
        except AbsentFileError:
            raise missing(f"{self.address}/{name}") from None
        except UnreadableFileError as error:
            raise StoreError(str(error)) from None

    def upload(self, name: str, path: Path) -> None:
        """Implements `ObjectStore.upload`."""
        target = self._folder / name
        partial = target.with_name(_PARTIAL_NAME)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with locked(target.parent):
                try:
                    copy_file(path, partial, _MAX_UPLOAD)
                    partial.replace(target)
                finally:
                    partial.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.address}/{name}: {error.strerror}") from None

    def replace(self, name: str, content: bytes, expected: str | None) -> None:
        """Implements `ObjectStore.replace`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(self._folder):
                found = self.read(name, _MAX_UPLOAD)
                if (found and found.version) != expected:
                    raise LostRaceError(f"{self.address}/{name}: changed by another program")
                with whole_file(self._folder / name) as file:
                    file.write(content)
        except OSError as error:
            raise StoreError(f"{self.address}/{name}: {error.strerror}") from None
