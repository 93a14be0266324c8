"""Mirrors an address: keeps a local copy of the active bundle, and a link to the copy.

The copy is verified before the link moves: the pointer has the hash of the manifest, which has the
hashes of all files. Old copies stay, up to a number of bytes, so that a rollback downloads nothing.
"""

import hashlib
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from export.contract.addresses.object_store import ObjectStore, StoreError, missing
from export.contract.addresses.pointer import POINTER_NAME, Entry, Found, read_pointer
from export.contract.bundle import Trust, read_manifest, verify_files
from export.contract.bundles_folder import LINK_NAME, BundleLink
from export.contract.folders import finish_replacement, locked, whole_folder
from export.contract.layout import MAX_MANIFEST_SIZE, BundleLayout, max_size
from export.contract.reading import read_file
from export.contract.records import BundleError

_SECONDS_UNTIL_RETRY = 60
"""Time after which a bundle that was refused is downloaded again, if the pointer stays.

Each further refusal doubles it, up to `_MAX_SECONDS_UNTIL_RETRY`.
"""
_MAX_SECONDS_UNTIL_RETRY = 3_600


class Mirror:
    """Copies the active bundle of a store into a local folder, which several processes may share.

    Attributes:
        address: the address of the store.
        link: the link to the copy of the active bundle.
    """

    def __init__(
        self, store: ObjectStore, folder: Path, max_bytes: int, trust: Trust | None = None
    ) -> None:
        """Prepares the mirror, without a request.

        Args:
            store: the store at the address.
            folder: folder of the copies of this address.
            max_bytes: maximum size of one bundle, and of all copies together; the copies of the
                active and the previous bundle are always kept.
            trust: accepts or refuses a bundle by its signature; None: signatures are not checked.
        """
        self.address = store.address
        self.link = BundleLink(folder / LINK_NAME)
        self._store = store
        self._folder = folder
        self._max_bytes = max_bytes
        self._trust = trust
        self._followed: Found | None = None
        self._refused: _Refusal | None = None

    def refresh(self) -> None:
        """Copies the active bundle, if the pointer has changed, and moves the link to the copy.

        Raises:
            StoreError: the store or the local disk fails; the link stays.
            BundleError: nothing is published, or the bundle is refused; the link stays.
        """
        try:
            found = self._found()
            if found == self._followed and self.link.bundle == found.pointer.active.bundle:
                return
            self._check_refusal(found)
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(self._folder):
                # Read again: meanwhile another process may have followed a newer pointer.
                self._follow(self._found())
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot be written: {error.strerror}") from error

    def has_whole_copy(self) -> bool:
        """Returns whether the link leads to a bundle that `trust` accepts, with the right hashes.

        Reads and hashes all files of the bundle.
        """
        if (bundle := self.link.bundle) is None:
            return False
        copy = self.link.folder(bundle)
        try:
            verify_files(copy, read_manifest(copy, self._trust))
        except BundleError:
            return False
        return True

    def _found(self) -> Found:
        found = read_pointer(self._store)
        if found is None:
            raise missing(f"{self._store.address}/{POINTER_NAME}")
        return found

    def _check_refusal(self, found: Found) -> None:
        """Raises BundleError if the bundle of `found` was refused and it is too early to retry."""
        if (refusal := self._refusal_of(found)) is not None and refusal.is_recent:
            raise BundleError(refusal.reason)

    def _refusal_of(self, found: Found) -> "_Refusal | None":
        refusal = self._refused
        return refusal if refusal is not None and refusal.found == found else None

    def _follow(self, found: Found) -> None:
        """Copies the active bundle of the pointer `found`, and moves the link to the copy.

        The caller holds the lock on the folder. A refused bundle is remembered, so that it is not
        downloaded again at once.

        Raises:
            StoreError: the store fails.
            BundleError: the bundle is refused, now or lately.
        """
        self._check_refusal(found)
        try:
            self._copy(found.pointer.active)
        except StoreError:
            raise
        except BundleError as error:
            before = self._refusal_of(found)
            self._refused = _Refusal(found, str(error), 1 if before is None else before.times + 1)
            raise
        self._followed, self._refused = found, None

    def _copy(self, entry: Entry) -> None:
        target = self.link.folder(entry.bundle)
        finish_replacement(target)
        self._remove_leftovers()
        if not self._is_copy(target, entry):
            with whole_folder(target) as building:
                self._download(entry, building)
        self.link.move(entry.bundle)
        self._remove_old_copies()

    def _is_copy(self, target: Path, entry: Entry) -> bool:
        """Returns whether the folder `target` is a copy of the bundle `entry`.

        Compares the hash of the manifest, and the signature. If the link would move to the copy,
        and until the first refresh has succeeded, compares the hashes of all files too.
        """
        layout = BundleLayout(target)
        try:
            content = read_file(layout.manifest, MAX_MANIFEST_SIZE)
            if self._followed is None or self.link.bundle != entry.bundle:
                verify_files(target, read_manifest(target))
        except BundleError:
            return False
        signature = layout.signature.read_bytes() if layout.signature.is_file() else None
        is_same = hashlib.sha256(content).hexdigest() == entry.manifest_sha256
        return is_same and signature == _signature_of(entry)

    def _download(self, entry: Entry, target: Path) -> None:
        """Downloads a bundle into the empty folder `target`, and verifies it file by file.

        Raises:
            BundleError: an object is missing, too large or has another hash, or `trust` does not
                accept the bundle.
        """
        layout, place = BundleLayout(target), f"{self._store.address}/{entry.bundle}"
        name = f"{entry.bundle}/{layout.manifest.name}"
        if (found := self._store.read(name, MAX_MANIFEST_SIZE)) is None:
            raise missing(f"{place}/{layout.manifest.name}")
        _compare(f"{place}/{layout.manifest.name}", found.content, entry.manifest_sha256)
        layout.manifest.write_bytes(found.content)
        if (signature := _signature_of(entry)) is not None:
            layout.signature.write_bytes(signature)
        manifest = read_manifest(target, self._trust)
        if manifest.model_version != entry.bundle:
            raise BundleError(f"{place}: holds the bundle {manifest.model_version}")
        left = self._max_bytes
        for name, expected in manifest.sha256.items():
            at_most = min(left, max_size(target / name, manifest.num_items))
            left -= self._download_file(f"{entry.bundle}/{name}", target / name, at_most, expected)

    def _download_file(self, name: str, target: Path, at_most: int, expected: str) -> int:
        """Downloads the object `name` to the file `target`; returns its size in bytes.

        Args:
            name: name of the object.
            target: path of the new file.
            at_most: maximum size in bytes.
            expected: SHA-256 of the content, in hexadecimal.

        Raises:
            BundleError: the object is missing, too large or has another hash.
        """
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as file:
            for block in self._store.blocks(name, at_most):
                file.write(block)
                digest.update(block)
                size += len(block)
        _compare_hashes(f"{self._store.address}/{name}", digest.hexdigest(), expected)
        return size

    def _remove_leftovers(self) -> None:
        """Removes the partial folders that killed downloads and removals have left."""
        for role in ("building", "removed"):
            for path in self._folder.glob(f".*.{role}"):
                shutil.rmtree(path, ignore_errors=True)

    def _remove_old_copies(self) -> None:
        kept = {self.link.bundle, self.link.previous}
        copies = sorted(self._copies(), key=lambda path: path.stat().st_mtime, reverse=True)
        left = self._max_bytes
        for copy in sorted(copies, key=lambda path: path.name not in kept):
            left -= sum(file.stat().st_size for file in copy.iterdir())
            if left < 0 and copy.name not in kept:
                shutil.rmtree(copy, ignore_errors=True)

    def _copies(self) -> Iterator[Path]:
        for path in self._folder.iterdir():
            if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
                yield path


@dataclass(frozen=True)
class _Refusal:
    """The last refusal of a bundle.

    Attributes:
        found: the pointer to the bundle.
        reason: why it was refused.
        times: number of refusals in a row.
        at: time of the last refusal, in seconds of the monotonic clock.
        jitter: random number in [0.75, 1] that multiplies the wait before the next download, so
            that replicas do not all download at the same time.
    """

    found: Found
    reason: str
    times: int
    at: float = field(default_factory=lambda: time.monotonic())
    jitter: float = field(default_factory=lambda: random.uniform(0.75, 1))  # noqa: S311 - no secret

    @property
    def is_recent(self) -> bool:
        """Whether it is too early to try again; the wait doubles with each refusal in a row."""
        doubled = _SECONDS_UNTIL_RETRY * 2.0 ** min(self.times - 1, 16)
        return time.monotonic() < self.at + min(doubled, _MAX_SECONDS_UNTIL_RETRY) * self.jitter


def _signature_of(entry: Entry) -> bytes | None:
    return None if entry.signature is None else entry.signature.encode()


def _compare(place: str, content: bytes, expected: str) -> None:
    _compare_hashes(place, hashlib.sha256(content).hexdigest(), expected)


def _compare_hashes(place: str, found: str, expected: str) -> None:
    if found != expected:
        raise BundleError(
            f"{place}: sha256 is {found[:12]}…, expected {expected[:12]}…; publish the bundle again"
        )
