"""Bundles side by side in one folder, and the link that says which of them is served.

    bundles/
    ├── 3f2a07c1b9de/                      a bundle, named by its model_version
    ├── 9c41e88a02f7/
    ├── active -> 9c41e88a02f7             BUNDLE_PATH=bundles/active
    └── .active.previous -> 3f2a07c1b9de   what a rollback brings back

Whoever reads takes the link for a bundle folder and may follow it; whoever moves it does so at
one stroke. Standard library only.

python -m export.contract.publish work/movielens/bundle bundles
"""

import os
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from export.contract.bundle import BundleError, load_bundle
from export.contract.folders import replace_folder

LINK_NAME = "active"


@dataclass(frozen=True)
class BundleLink:
    """A symbolic link to one of the bundles beside it."""

    path: Path

    @property
    def bundle(self) -> str | None:
        """The name of the bundle it stands for; None if there is no such link."""
        return _target(self.path)

    @property
    def previous(self) -> str | None:
        """The name of the bundle it stood for before; None if there was no other."""
        previous = _target(self._previous)
        return None if previous == self.bundle else previous

    def folder(self, bundle: str) -> Path:
        """Where a bundle lies that it may stand for."""
        return self.path.parent / bundle

    def move(self, bundle: str, leaving: str | None = None) -> None:
        """Lets it stand for `bundle`; readers find the old one or the new one, never none.

        `leaving` is what a rollback brings back; by default what the link stood for.

        Raises:
            BundleError: `bundle` is a link too.
            OSError: it cannot be moved, as in a folder that is mounted read-only.
        """
        if self.folder(bundle).is_symlink():
            raise BundleError(f"{self.folder(bundle)}: a link, not a bundle")
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
    """Copies a bundle into a folder of bundles, under its version, and moves `active` to it.

    Raises:
        BundleError: it cannot be loaded; nothing has changed.
        OSError: the folder cannot be written.
    """
    version = load_bundle(bundle).manifest.model_version
    link = BundleLink(folder / LINK_NAME)
    target = link.folder(version)
    if not _is_whole(target):
        building = target.with_name(f".{version}.building")
        shutil.rmtree(building, ignore_errors=True)
        shutil.copytree(bundle.resolve(), building)
        load_bundle(building)
        replace_folder(target, building)
    link.move(version)
    return link


def publish_first(bundle: Path, folder: Path) -> BundleLink:
    """Publishes into a folder in which nothing is active yet; several may try at once.

    Raises:
        BundleError: it cannot be loaded; nothing has changed.
        OSError: the folder cannot be written.
    """
    link = BundleLink(folder / LINK_NAME)
    if link.bundle is None:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            if link.bundle is None:
                publish(bundle, folder)
    return link


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = ArgumentParser(prog="python -m export.contract.publish", description=publish.__doc__)
    parser.add_argument("bundle", type=Path, help="the folder that `export` wrote")
    parser.add_argument("folder", type=Path, help="the folder of bundles that services follow")
    parser.add_argument("--first", action="store_true", help="only if nothing is active there")
    options = parser.parse_args(arguments)
    try:
        link = (publish_first if options.first else publish)(options.bundle, options.folder)
    except (BundleError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{link.path} is {link.bundle}{'' if options.first else ' now'}\n")
    return 0


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other process is here; one that is killed leaves no lock."""
    import fcntl  # not on Windows, where nobody starts replicas on one volume

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_whole(folder: Path) -> bool:
    try:
        load_bundle(folder)
    except BundleError:
        return False
    return True


def _target(link: Path) -> str | None:
    return link.readlink().name if link.is_symlink() else None


def _link(path: Path, target: str) -> None:
    # Not the process's number: in a container each is the first.
    new = path.with_name(f".{path.name}.{token_hex(8)}.new")
    try:
        new.symlink_to(target)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
