"""The ObjectStore protocol: the operations of a store to which bundles are published.

An address is a text such as `s3://bucket/shop`, `gs://bucket/shop` or `file:///mnt/shop`. Objects
are named relative to it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from export.contract.records import BundleError

ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.+)", re.ASCII)


class StoreError(BundleError):
    """A failure of the store: no answer, or no access; the bundle itself may be valid."""


class LostRaceError(BundleError):
    """A conditional write that wrote nothing, since another program has changed the object."""


@dataclass(frozen=True)
class Stored:
    """The content of an object, and the version that `ObjectStore.replace` compares."""

    content: bytes
    version: str


class ObjectStore(Protocol):
    """Protocol of a store of named objects. Every method can raise StoreError.

    Attributes:
        address: the address that was opened, without `/` at the end.
    """

    @property
    def address(self) -> str:
        """The address that was opened, without `/` at the end."""

    def read(self, name: str, at_most: int) -> Stored | None:
        """Reads the object `name`; returns None if it does not exist.

        Raises:
            BundleError: the object has more than `at_most` bytes.
        """

    def blocks(self, name: str, at_most: int) -> Iterator[bytes]:
        """Yields the content of the object `name`, part by part.

        Raises:
            BundleError: the object does not exist, or has more than `at_most` bytes.
        """

    def upload(self, name: str, path: Path) -> None:
        """Writes the file `path` to the object `name`; readers see all of its content or nothing.

        An object that exists is replaced.
        """

    def replace(self, name: str, content: bytes, expected: str | None) -> None:
        """Writes `content` to the object `name` if the object's version is `expected`.

        `expected`: a version that `read` has returned; None: the object must not exist yet.

        Raises:
            LostRaceError: the object has another version.
            BundleError: this store has no such conditional write.
        """


def is_address(text: str) -> bool:
    """Returns whether `text` is an address, that is, of the form `scheme://…`, and not a path."""
    return ADDRESS.fullmatch(text) is not None


def too_large(place: str, size: int, at_most: int) -> BundleError:
    """Makes the error for an object at `place` of `size` bytes, where `at_most` are allowed."""
    return BundleError(f"{place}: {size:,} bytes, at most {at_most:,} are read")


def missing(place: str) -> BundleError:
    """Makes the error for an object that does not exist at `place`."""
    return BundleError(f"{place}: missing")
