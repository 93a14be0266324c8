"""Publishes bundles to an address: uploads a bundle, then moves the pointer to it.

The pointer is moved by a conditional write.

A killed upload leaves objects that no pointer names. Publishing the bundle again completes them.
"""

import hashlib
from pathlib import Path

from export.contract.addresses.object_store import LostRaceError, ObjectStore
from export.contract.addresses.pointer import (
    POINTER_NAME,
    Entry,
    Found,
    Pointer,
    read_pointer,
    render_pointer,
)
from export.contract.bundle import Bundle, BundleLayout, Trust, load_bundle
from export.contract.bundles_folder import changed_meanwhile
from export.contract.layout import MAX_MANIFEST_SIZE, MAX_SIGNATURE_SIZE
from export.contract.reading import read_file
from export.contract.records import BundleError


def publish_at(store: ObjectStore, bundle: Path, trust: Trust | None = None) -> Pointer:
    """Uploads the bundle in the folder `bundle` and makes it active; returns the new pointer.

    If `trust` is given, only a bundle whose signature it accepts is published.

    Raises:
        LostRaceError: another program moved the pointer meanwhile; the bundle is not active.
        BundleError: the bundle is invalid, or `trust` does not accept it; nothing is published.
        StoreError: the store does not answer.
    """
    return _publish(store, bundle, read_pointer(store), trust)


def publish_in_place_of(
    store: ObjectStore, bundle: Path, champion: str | None, trust: Trust | None = None
) -> Pointer:
    """Uploads a bundle and makes it active, if the active version is `champion`.

    Args:
        store: the store at the address.
        bundle: folder of the bundle.
        champion: version of the bundle that must be active; None: none must be active.
        trust: check of the bundle's signature; None: the signature is not checked.

    Returns:
        The new pointer.

    Raises:
        LostRaceError: another version is active, or another program moved the pointer meanwhile.
        BundleError: the bundle is invalid, or `trust` does not accept it; nothing is published.
        StoreError: the store does not answer.
    """
    found = read_pointer(store)
    if (active := _active(found)) != champion:
        raise _lost(store, champion, active)
    return _publish(store, bundle, found, trust)


def publish_first_at(store: ObjectStore, bundle: Path, trust: Trust | None = None) -> Pointer:
    """Publishes the bundle in the folder `bundle` if none is active; returns the valid pointer.

    `trust`: check of the bundle's signature; None: the signature is not checked.

    Raises:
        BundleError: the bundle is invalid, or `trust` does not accept it; nothing is published.
        StoreError: the store does not answer.
    """
    if (found := read_pointer(store)) is None:
        try:
            return _publish(store, bundle, None, trust)
        except LostRaceError:
            found = read_pointer(store)
    if found is None:
        raise LostRaceError(f"{store.address}/{POINTER_NAME}: removed meanwhile; publish again")
    return found.pointer


def roll_back_at(store: ObjectStore) -> Pointer:
    """Makes the previous bundle the active one; a second call undoes the first.

    Returns:
        The new pointer.

    Raises:
        LostRaceError: another program moved the pointer meanwhile; nothing changes.
        BundleError: there is no previous bundle, or its manifest was removed or changed since.
        StoreError: the store does not answer.
    """
    found = read_pointer(store)
    if found is None or found.pointer.previous is None:
        raise BundleError(f"{store.address}: there is no previous bundle")
    _check_manifest(store, found.pointer.previous)
    pointer = Pointer(found.pointer.previous, found.pointer.active)
    _move(store, pointer, found)
    return pointer


def _publish(store: ObjectStore, path: Path, found: Found | None, trust: Trust | None) -> Pointer:
    bundle = load_bundle(path, trust)
    entry = _entry_of(bundle)
    _upload(store, bundle)
    if load_bundle(bundle.folder, trust).manifest != bundle.manifest:
        raise changed_meanwhile(bundle)
    pointer = Pointer(entry) if found is None else found.pointer.moved_to(entry)
    if found is None or pointer != found.pointer:
        _move(store, pointer, found)
    return pointer


def _entry_of(bundle: Bundle) -> Entry:
    layout = BundleLayout(bundle.folder)
    manifest = read_file(layout.manifest, MAX_MANIFEST_SIZE)
    signature = (
        read_file(layout.signature, MAX_SIGNATURE_SIZE) if layout.signature.exists() else None
    )
    return Entry(
        bundle.manifest.model_version,
        hashlib.sha256(manifest).hexdigest(),
        None if signature is None else signature.decode(errors="replace"),
    )


def _upload(store: ObjectStore, bundle: Bundle) -> None:
    """Uploads all files of a bundle, the manifest last, over those of an earlier upload."""
    version = bundle.manifest.model_version
    for name in (*bundle.manifest.sha256, BundleLayout(bundle.folder).manifest.name):
        store.upload(f"{version}/{name}", bundle.folder / name)


def _check_manifest(store: ObjectStore, entry: Entry) -> None:
    """Raises BundleError if the manifest of a published bundle is gone or is another one."""
    name = f"{entry.bundle}/{BundleLayout(Path()).manifest}"
    found = store.read(name, MAX_MANIFEST_SIZE)
    if found is None or hashlib.sha256(found.content).hexdigest() != entry.manifest_sha256:
        raise BundleError(f"{store.address}/{name}: removed or changed since it was published")


def _move(store: ObjectStore, pointer: Pointer, found: Found | None) -> None:
    """Replaces the pointer at the address with `pointer`, if it is still `found`.

    If `found` is None, writes the pointer only if none exists.

    Raises:
        LostRaceError: another program moved the pointer meanwhile.
    """
    try:
        store.replace(POINTER_NAME, render_pointer(pointer), found.version if found else None)
    except LostRaceError:
        now = read_pointer(store)
        # The answer to the first attempt was lost, and the library tried again.
        if now is None or now.pointer != pointer:
            raise _lost(store, _active(found), _active(now)) from None


def _active(found: Found | None) -> str | None:
    return None if found is None else found.pointer.active.bundle


def _lost(store: ObjectStore, before: str | None, now: str | None) -> LostRaceError:
    return LostRaceError(
        f"{store.address}: another program has made {now or 'nothing'} active, where "
        f"{before or 'nothing'} was expected; its bundle stays; publish again to replace it"
    )
