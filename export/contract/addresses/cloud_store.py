"""Reads and writes objects in S3, Google Cloud Storage or Azure with the library obstore.

obstore reads credentials and options from the environment, by the names that the clouds' own tools
use, such as AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL or GOOGLE_APPLICATION_CREDENTIALS.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from export.contract.addresses.object_store import (
    LostRaceError,
    Stored,
    StoreError,
    missing,
    too_large,
)
from export.contract.records import BundleError, shown

if TYPE_CHECKING:  # obstore has these types for type checkers only
    from obstore import ObjectMeta, PutMode, UpdateVersion

_REQUEST_SECONDS = 20
"""Maximum time of one request, from connecting to the last byte."""
_RETRY_SECONDS = 30
_MAX_RETRIES = 2
_BLOCK_SIZE = 2**23
"""Bytes of one request of a download; small, so that it fits into `_REQUEST_SECONDS`."""


class CloudStore:
    """The objects under an address of S3, Google Cloud Storage or Azure."""

    def __init__(self, address: str) -> None:
        """Makes a client for the address, without a request.

        obstore's options, such as credentials, come from environment variables.

        Raises:
            BundleError: the address or the value of an environment variable cannot be used.
        """
        self.address = address
        try:
            self._store = from_url(
                address,
                client_options={
                    "timeout": f"{_REQUEST_SECONDS}s",
                    "connect_timeout": f"{_REQUEST_SECONDS // 4}s",
                    # Options that are given here replace those of the environment.
                    "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
                },
                retry_config={
                    "max_retries": _MAX_RETRIES,
                    "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
                },
            )
        except (BaseError, ValueError) as error:
            raise BundleError(f"{address}: {_first_line(error)}") from None

    def read(self, name: str, at_most: int) -> Stored | None:
        """Implements `ObjectStore.read`."""
        place = f"{self.address}/{name}"
        try:
            with _store_errors(place):
                found = obstore.get(self._store, name)
                if found.meta["size"] > at_most:
                    raise too_large(place, found.meta["size"], at_most)
                return Stored(bytes(found.bytes()), _version_of(found.meta))
        except FileNotFoundError:
            return None

    def blocks(self, name: str, at_most: int) -> Iterator[bytes]:
        """Implements `ObjectStore.blocks`."""
        place = f"{self.address}/{name}"
        try:
            with _store_errors(place):
                size = obstore.head(self._store, name)["size"]
                if size > at_most:
                    raise too_large(place, size, at_most)
                for start in range(0, size, _BLOCK_SIZE):
                    end = min(start + _BLOCK_SIZE, size)
                    yield bytes(obstore.get_range(self._store, name, start=start, end=end))
        except FileNotFoundError:
            raise missing(place) from None

    def upload(self, name: str, path: Path) -> None:
        """Implements `ObjectStore.upload`."""
        with _store_errors(f"{self.address}/{name}"):
            obstore.put(self._store, name, path)

    def replace(self, name: str, content: bytes, expected: str | None) -> None:
        """Implements `ObjectStore.replace`."""
        place = f"{self.address}/{name}"
        try:
            with _store_errors(place):
                mode: PutMode = "create" if expected is None else _update_of(expected)
                obstore.put(self._store, name, content, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            raise LostRaceError(f"{place}: changed by another program") from None


@contextmanager
def _store_errors(place: str) -> Iterator[None]:
    """Context manager that turns an error of obstore into a StoreError, whose message has `place`.

    FileNotFoundError and the two errors of failed conditional writes pass through.
    """
    try:
        yield
    except (FileNotFoundError, AlreadyExistsError, PreconditionError):
        raise
    except (BaseError, OSError) as error:
        raise StoreError(f"{place}: the store fails or refuses: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return shown(next(iter(str(error).splitlines()), type(error).__name__))


def _version_of(meta: "ObjectMeta") -> str:
    """Returns an object's version for `replace`: its ETag and version id, joined by a line feed.

    A conditional write of S3 and Azure compares the ETag, one of Google the version id.
    """
    return f"{meta['e_tag'] or ''}\n{meta['version'] or ''}"


def _update_of(version: str) -> "UpdateVersion":
    e_tag, _, number = version.partition("\n")
    update: UpdateVersion = {}
    if e_tag:
        update["e_tag"] = e_tag
    if number:
        update["version"] = number
    return update
