"""BundlePlace: a place where bundles are published, either a folder of bundles or an address."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from export.contract.addresses.mirror import Mirror
from export.contract.addresses.object_store import ObjectStore, is_address
from export.contract.addresses.opening import open_store
from export.contract.addresses.pointer import read_pointer
from export.contract.addresses.publishing import (
    publish_at,
    publish_first_at,
    publish_in_place_of,
    roll_back_at,
)
from export.contract.bundle import Trust, load_bundle
from export.contract.bundles_folder import LINK_NAME, BundleLink, publish, publish_first
from export.contract.records import BundleError

_MAX_COPY_BYTES = 2**40


class BundlePlace(Protocol):
    """Protocol of a place of published bundles, one of which is active.

    Methods that change the place raise BundleError if the bundle is invalid or another program has
    changed the place. They raise OSError if a local folder cannot be written.
    """

    @property
    def name(self) -> str:
        """Path of the link or the address, for messages."""

    @property
    def active(self) -> str | None:
        """Version of the active bundle; None if there is none."""

    def folder(self, bundle: str, copies: Path) -> Path:
        """Returns a local folder with the active bundle, whose version is `bundle`.

        `copies`: folder into which the bundle is copied if the place is an address.

        Raises:
            BundleError: another version is active at the address.
        """

    def publish(self, bundle: Path, trust: Trust | None = None) -> str:
        """Copies a bundle to the place and makes it active; returns its version.

        `trust`: check of the bundle's signature; None: the signature is not checked.
        """

    def publish_in_place_of(self, champion: str | None, bundle: Path) -> str:
        """Publishes a bundle if the active version is `champion`; returns the new version.

        `champion`: version of the bundle that must be active; None: none must be active.

        Raises:
            BundleError: another version is active; nothing is published.
        """

    def publish_first(self, bundle: Path, trust: Trust | None = None) -> str:
        """Publishes a bundle if none is active; returns the version that is then active.

        `trust`: check of the bundle's signature; None: the signature is not checked.
        """

    def roll_back(self) -> str:
        """Makes the bundle active that was active before; returns its version.

        Raises:
            BundleError: there is no previous bundle, or it was removed or damaged since.
        """


def place_of(text: str) -> BundlePlace:
    """Opens a place of bundles: an address such as `s3://bucket/shop`, or a folder of bundles.

    Raises:
        BundleError: the address cannot be opened.
    """
    if not is_address(text):
        return LocalPlace(BundleLink(Path(text) / LINK_NAME))
    return AddressPlace(open_store(text))


@dataclass(frozen=True)
class LocalPlace:
    """A folder of bundles with a link to the active one."""

    link: BundleLink

    @property
    def name(self) -> str:
        """Implements `BundlePlace.name`."""
        return str(self.link.path)

    @property
    def active(self) -> str | None:
        """Implements `BundlePlace.active`."""
        return self.link.bundle

    def folder(self, bundle: str, copies: Path) -> Path:  # noqa: ARG002 - of the protocol
        """Implements `BundlePlace.folder`."""
        return self.link.folder(bundle)

    def publish(self, bundle: Path, trust: Trust | None = None) -> str:
        """Implements `BundlePlace.publish`."""
        return _version(publish(bundle, self.link.path.parent, trust))

    def publish_in_place_of(self, champion: str | None, bundle: Path) -> str:
        """Implements `BundlePlace.publish_in_place_of`."""
        if self.active != champion:
            raise BundleError(f"{self.name} is {self.active}, expected {champion}")
        return self.publish(bundle)

    def publish_first(self, bundle: Path, trust: Trust | None = None) -> str:
        """Implements `BundlePlace.publish_first`."""
        return _version(publish_first(bundle, self.link.path.parent, trust))

    def roll_back(self) -> str:
        """Implements `BundlePlace.roll_back`."""
        if (previous := self.link.previous) is None:
            raise BundleError(f"{self.name}: there is no previous bundle")
        load_bundle(self.link.folder(previous))  # old bundles are removed by hand
        self.link.move(previous)
        return previous


@dataclass(frozen=True)
class AddressPlace:
    """An address in `store`, with a pointer to the active bundle."""

    store: ObjectStore

    @property
    def name(self) -> str:
        """Implements `BundlePlace.name`."""
        return self.store.address

    @property
    def active(self) -> str | None:
        """Implements `BundlePlace.active`."""
        found = read_pointer(self.store)
        return None if found is None else found.pointer.active.bundle

    def folder(self, bundle: str, copies: Path) -> Path:
        """Implements `BundlePlace.folder`."""
        mirror = Mirror(self.store, copies, _MAX_COPY_BYTES)
        mirror.refresh()
        if mirror.link.bundle != bundle:
            raise BundleError(f"{self.name} is {mirror.link.bundle}, expected {bundle}")
        return mirror.link.folder(bundle)

    def publish(self, bundle: Path, trust: Trust | None = None) -> str:
        """Implements `BundlePlace.publish`."""
        return publish_at(self.store, bundle, trust).active.bundle

    def publish_in_place_of(self, champion: str | None, bundle: Path) -> str:
        """Implements `BundlePlace.publish_in_place_of`."""
        return publish_in_place_of(self.store, bundle, champion).active.bundle

    def publish_first(self, bundle: Path, trust: Trust | None = None) -> str:
        """Implements `BundlePlace.publish_first`."""
        return publish_first_at(self.store, bundle, trust).active.bundle

    def roll_back(self) -> str:
        """Implements `BundlePlace.roll_back`."""
        return roll_back_at(self.store).active.bundle


def _version(link: BundleLink) -> str:
    return link.bundle or ""
