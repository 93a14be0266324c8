"""The pointer, `active.json` at an address: names the active bundle, its hash and signature.

    s3://bucket/shop/
    ├── active.json       the pointer, replaced by conditional writes
    ├── 3f2a07c1b9de/     a bundle, named after its model_version
    └── 9c41e88a02f7/

The pointer has the hash of the manifest, and the manifest has the hashes of the other files. A
signature is in the pointer, so that it changes together with the bundle that it belongs to.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from export.contract.addresses.object_store import ObjectStore
from export.contract.layout import MAX_SIGNATURE_SIZE
from export.contract.records import (
    BundleError,
    Check,
    Checks,
    build,
    check_values,
    optional,
    parse_object,
    text_of,
)

POINTER_NAME = "active.json"
_SCHEMA = 1
_MAX_SIZE = 2**16


@dataclass(frozen=True)
class Entry:
    """A published bundle, as the pointer describes it.

    Attributes:
        bundle: the bundle's `model_version`, which is also the name of its folder.
        manifest_sha256: SHA-256 of `manifest.json`, in hexadecimal.
        signature: content of `manifest.json.minisig`; None if the bundle is not signed.
    """

    bundle: str
    manifest_sha256: str
    signature: str | None


@dataclass(frozen=True)
class Pointer:
    """The content of a pointer.

    Attributes:
        active: the bundle that services load.
        previous: the bundle that a rollback activates; None if there is none.
    """

    active: Entry
    previous: Entry | None = None

    def moved_to(self, entry: Entry) -> "Pointer":
        """Returns a pointer to `entry`, with the bundle that was active as `previous`.

        If only the signature of the active bundle is new, `previous` stays as it is.
        """
        previous = self.previous if entry.bundle == self.active.bundle else self.active
        return Pointer(entry, previous)


@dataclass(frozen=True)
class Found:
    """A pointer that was read at an address, with the version for `ObjectStore.replace`."""

    pointer: Pointer
    version: str


def read_pointer(store: ObjectStore) -> Found | None:
    """Reads the pointer at an address; returns None if nothing was published there.

    Raises:
        StoreError: the store does not answer.
        BundleError: the object is not a pointer.
    """
    stored = store.read(POINTER_NAME, _MAX_SIZE)
    if stored is None:
        return None
    place = f"{store.address}/{POINTER_NAME}"
    return Found(_parsed(place, stored.content), stored.version)


def render_pointer(pointer: Pointer) -> bytes:
    """Renders a pointer as the content of `active.json`."""
    return (json.dumps({"schema": _SCHEMA, **asdict(pointer)}, indent=2) + "\n").encode()


def _matching(pattern: str, expected: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)
    return Check(expected, lambda value: isinstance(value, str) and bool(compiled.fullmatch(value)))


_CHECKS: Checks = {
    "bundle": _matching("[0-9a-f]{12}", "a model_version, 12 hexadecimal digits"),
    "manifest_sha256": _matching("[0-9a-f]{64}", "64 hexadecimal digits"),
    "signature": optional(text_of(MAX_SIGNATURE_SIZE, at_least=1)),
}


def _parsed(place: str, text: bytes) -> Pointer:
    content = parse_object(place, text)
    check_values(place, content)
    if content.get("schema") != _SCHEMA or content.keys() != {"schema", "active", "previous"}:
        raise BundleError(
            f"{place}: expected a pointer of schema {_SCHEMA} with the keys active and previous; "
            "publish a bundle again, or serve it with a newer version"
        )
    previous = content["previous"]
    return Pointer(
        _entry(f"{place}: active", content["active"]),
        None if previous is None else _entry(f"{place}: previous", previous),
    )


def _entry(place: str, content: object) -> Entry:
    if not isinstance(content, Mapping):
        raise BundleError(f"{place}: not a JSON object")
    fields: Mapping[str, Any] = content
    return build(Entry, fields, _CHECKS, place)
