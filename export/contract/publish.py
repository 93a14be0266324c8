"""Publishes bundles: keeps them side by side in one folder, with a link to the active one.

    bundles/
    ├── 3f2a07c1b9de/                      a bundle, named after its model_version
    ├── 9c41e88a02f7/
    ├── active -> 9c41e88a02f7             BUNDLE_PATH=bundles/active
    └── .active.previous -> 3f2a07c1b9de   the bundle that a rollback activates again

Services read the link as if it were a bundle's folder, and load the new bundle when the link moves.
The link moves in one rename, so a reader finds the old bundle or the new one. Only the standard
library is imported here.

python -m export.contract.publish work/movielens/bundle bundles
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from export.contract.bundle import BundleError, copy_bundle, load_bundle
from export.contract.folders import finish_replacement, whole_folder

LINK_NAME = "active"
ARGUMENTS = {
    "bundle": "Folder of a bundle, as `export` writes it.",
    "folder": "Folder of bundles, from whose active bundle services are served.",
    "first": "Do nothing if a bundle is already active there.",
}
"""Help texts of the arguments, here and in `distilled-recommender bundle publish`."""


@dataclass(frozen=True)
class BundleLink:
    """A symbolic link to the active one of the bundles in its folder; `path` is the link."""

    path: Path

    @property
    def bundle(self) -> str | None:
        """Name of the active bundle, which the link points to; None if there is no link."""
        return _target(self.path)

    @property
    def previous(self) -> str | None:
        """Name of the bundle that a rollback would activate; None if there is none."""
        previous = _target(self._previous)
        return None if previous == self.bundle else previous

    def folder(self, bundle: str) -> Path:
        """Returns the folder of the bundle named `bundle`, whether or not it exists."""
        return self.path.parent / bundle

    def move(self, bundle: str, leaving: str | None = None) -> None:
        """Points the link to `bundle`. A reader always finds the old bundle or the new one.

        Args:
            bundle: name of the bundle to activate.
            leaving: name of the bundle that a later rollback activates; None stands for the bundle
                that is active now.

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


def publish(bundle: Path, folder: Path) -> BundleLink:
    """Copies a bundle to `folder/<model_version>` and points the link `folder/active` to it.

    Returns:
        The link.

    Raises:
        BundleError: the bundle cannot be loaded; nothing has changed.
        OSError: the folder cannot be written.
    """
    loaded = load_bundle(bundle)
    version = loaded.manifest.model_version
    link = BundleLink(folder / LINK_NAME)
    target = link.folder(version)
    finish_replacement(target)
    if not _can_be_loaded(target):
        with whole_folder(target) as building:
            copy_bundle(loaded, building)
            load_bundle(building)
    link.move(version)
    return link


def publish_first(bundle: Path, folder: Path) -> BundleLink:
    """Publishes a bundle unless one is active in `folder`; concurrent callers wait for each other.

    Returns:
        The link to the active bundle, which may be another one than `bundle`.

    Raises:
        BundleError: the bundle cannot be loaded; nothing has changed.
        OSError: the folder cannot be written.
    """
    link = BundleLink(folder / LINK_NAME)
    if link.bundle is None:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if link.bundle is None:
                publish(bundle, folder)
    return link


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program with `arguments` (None: those of the process); returns the exit code."""
    parser = ArgumentParser(
        prog="python -m export.contract.publish",
        description="Copy a bundle into a folder of bundles and make it the active one.",
    )
    parser.add_argument("bundle", type=Path, help=ARGUMENTS["bundle"])
    parser.add_argument("folder", type=Path, help=ARGUMENTS["folder"])
    parser.add_argument("--first", action="store_true", help=ARGUMENTS["first"])
    options = parser.parse_args(arguments)
    try:
        link = (publish_first if options.first else publish)(options.bundle, options.folder)
    except (BundleError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{link.path} is {link.bundle}{'' if options.first else ' now'}\n")
    return 0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on `folder`; the system releases it if the process is killed."""
    import fcntl  # Windows lacks it, but replicas that share a volume do not run there

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _can_be_loaded(folder: Path) -> bool:
    try:
        load_bundle(folder)
    except BundleError:
        return False
    return True


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


if __name__ == "__main__":
    sys.exit(main())
