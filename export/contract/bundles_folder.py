"""Publishes bundles into a folder of bundles, where a link points to the bundle to serve.

    bundles/
    ├── 3f2a07c1b9de/                      a bundle, named after its model_version
    ├── 9c41e88a02f7/
    ├── active -> 9c41e88a02f7             BUNDLE_PATH=bundles/active
    └── .active.previous -> 3f2a07c1b9de   the bundle that a rollback activates again

The bundle that the symbolic link `active` points to is the active bundle. Services use the link as
the path of their bundle, and load the new bundle when the link moves. The link moves in one rename,
so a reader finds the old bundle or the new one. This module imports only the standard library.
"""

from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from export.contract.bundle import (
    Bundle,
    BundleError,
    BundleLayout,
    Trust,
    copy_bundle,
    load_bundle,
)
from export.contract.folders import finish_replacement, locked, whole_folder
from export.contract.layout import MAX_SIGNATURE_SIZE
from export.contract.reading import read_file

LINK_NAME = "active"


@dataclass(frozen=True)
class BundleLink:
    """A symbolic link to the active bundle, which is in the same folder as the link.

    Attributes:
        path: path of the link, which need not exist.
    """

    path: Path

    @property
    def bundle(self) -> str | None:
        """Folder name of the active bundle, which the link points to; None if there is no link."""
        return _target(self.path)

    @property
    def previous(self) -> str | None:
        """Folder name of the bundle that a rollback would activate; None if there is none."""
        previous = _target(self._previous)
        return None if previous == self.bundle else previous

    def folder(self, bundle: str) -> Path:
        """Returns the path of the folder with the name `bundle`, which need not exist."""
        return self.path.parent / bundle

    def move(self, bundle: str, leaving: str | None = None) -> None:
        """Points the link to `bundle`, unless it does already; replaces it in one step.

        Args:
            bundle: folder name of the bundle to activate.
            leaving: folder name of the bundle that a later rollback activates; None stands for the
                bundle that is active before this call.

        Raises:
            BundleError: `bundle` is itself a link.
            OSError: the link cannot be moved, for example in a folder mounted read-only.
        """
        if self.folder(bundle).is_symlink():
            raise BundleError(
                f"{self.folder(bundle)}: a link, not a bundle; give the name of the bundle that "
                "it points to"
            )
        current = self.bundle
        if current == bundle:
            return
        leaving = leaving or current
        if leaving not in (None, bundle):
            _link(self._previous, leaving)
        _link(self.path, bundle)

    @property
    def _previous(self) -> Path:
        return self.path.with_name(f".{self.path.name}.previous")


def publish(bundle: Path, folder: Path, trust: Trust | None = None) -> BundleLink:
    """Copies a bundle to `folder/<model_version>` and points the link `folder/active` to the copy.

    A bundle that `trust` does not accept is not published. If `trust` is None, signatures are not
    checked. Several processes that publish to `folder` at the same time do so one after the other.

    Returns:
        The link.

    Raises:
        BundleError: the bundle is invalid, or `trust` does not accept it; nothing is published.
        OSError: the folder cannot be written.
    """
    loaded = load_bundle(bundle, trust)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        return _publish(loaded, folder, trust)


def publish_first(bundle: Path, folder: Path, trust: Trust | None = None) -> BundleLink:
    """Publishes a bundle as `publish` does, but only if no bundle is active in `folder`.

    Of several processes that call this at the same time, only one publishes.

    Returns:
        The link to the active bundle: the copy of `bundle`, or the bundle that was active before.

    Raises:
        BundleError: the bundle is invalid, or `trust` does not accept it; nothing is published.
        OSError: the folder cannot be written.
    """
    link = BundleLink(folder / LINK_NAME)
    if link.bundle is None:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if link.bundle is None:
                _publish(load_bundle(bundle, trust), folder, trust)
    return link


def _publish(loaded: Bundle, folder: Path, trust: Trust | None) -> BundleLink:
    """Publishes a loaded bundle as `publish` does; the caller holds the lock on `folder`."""
    version = loaded.manifest.model_version
    link = BundleLink(folder / LINK_NAME)
    target = link.folder(version)
    finish_replacement(target)
    if not _is_copy(target, loaded):
        with whole_folder(target) as building:
            copy_bundle(loaded, building)
            if load_bundle(building, trust).manifest != loaded.manifest:
                raise changed_meanwhile(loaded)
    link.move(version)
    return link


def changed_meanwhile(bundle: Bundle) -> BundleError:
    """Makes the error for a bundle that another program has replaced while it was published."""
    return BundleError(f"{bundle.folder}: replaced while it was published; publish it again")


def _is_copy(folder: Path, bundle: Bundle) -> bool:
    """Returns whether `folder` holds a valid copy of `bundle` with the same signature."""
    try:
        return load_bundle(folder).manifest == bundle.manifest and (
            _signature_of(folder) == _signature_of(bundle.folder)
        )
    except BundleError:
        return False


def _signature_of(folder: Path) -> bytes | None:
    path = BundleLayout(folder).signature
    return read_file(path, MAX_SIGNATURE_SIZE) if path.exists() else None


def _target(link: Path) -> str | None:
    return link.readlink().name if link.is_symlink() else None


def _link(path: Path, target: str) -> None:
    # The name is random, not the process id: in every container that id may be 1.
    new = path.with_name(f".{path.name}.{token_hex(8)}.new")
    try:
        new.symlink_to(target)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
