"""Following the active bundle of an address: what is downloaded, refused, kept and removed."""

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from export.contract.addresses import mirror as mirroring
from export.contract.addresses.mirror import Mirror
from export.contract.addresses.object_store import ObjectStore, Stored
from export.contract.addresses.opening import open_store
from export.contract.addresses.pointer import POINTER_NAME, Entry
from export.contract.addresses.publishing import publish_at, roll_back_at
from export.contract.bundle import BundleError
from export.contract.publish import trust_of
from export.contract.signatures import sign_bundle
from tests.export.contract.addresses.conftest import MIB, Place, files_of, save, version


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "items.jsonl"])
def test_an_object_with_a_wrong_hash_is_refused_until_the_bundle_is_published_again(
    place: Place, mirror: Mirror, one: Path, other: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_at(place.store, one)
    mirror.refresh()
    publish_at(place.store, other)
    place.write(f"{version(other)}/{name}", b"changed")
    for _ in range(2):  # the second time it is not downloaded again
        with pytest.raises(BundleError, match=rf"{version(other)}/{name}: sha256 is .*, expected"):
            mirror.refresh()
    assert files_of(mirror.link.path) == files_of(one)

    publish_at(place.store, other)
    monkeypatch.setattr(mirroring, "_SECONDS_UNTIL_RETRY", 0)
    mirror.refresh()
    assert files_of(mirror.link.path) == files_of(other)


def test_a_late_process_does_not_move_the_link_back(
    place: Place, mirror: Mirror, one: Path, other: Path, tmp_path: Path
) -> None:
    class Late:
        """A store whose pointer moves, and is followed by another process, after it was read."""

        address = place.store.address
        is_first = True

        def __getattr__(self, name: str) -> Any:
            return getattr(place.store, name)

        def read(self, name: str, at_most: int) -> Stored | None:
            found = place.store.read(name, at_most)
            if self.is_first:
                self.is_first = False
                publish_at(place.store, other)
                mirror.refresh()
            return found

    publish_at(place.store, one)
    Mirror(cast("ObjectStore", Late()), tmp_path / "cache", MIB).refresh()
    assert mirror.link.bundle == version(other)


def test_a_link_that_something_else_has_moved_comes_back_to_the_active_bundle(
    place: Place, mirror: Mirror, one: Path, other: Path
) -> None:
    for bundle in (one, other):
        publish_at(place.store, bundle)
        mirror.refresh()
    mirror.link.move(version(one))
    mirror.refresh()
    assert mirror.link.bundle == version(other)


def test_what_killed_downloads_left_is_removed(
    place: Place, mirror: Mirror, one: Path, tmp_path: Path
) -> None:
    for name in (".0123456789ab.building", ".0123456789ab.removed"):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "model.onnx").write_bytes(b"half")
    publish_at(place.store, one)
    mirror.refresh()
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"active", version(one)}


def test_a_damaged_bundle_is_downloaded_ever_more_rarely_but_at_least_each_hour(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"file://{tmp_path}/store")
    damaged = tmp_path / "store" / publish_at(store, one).active.bundle / "items.jsonl"
    good = damaged.read_bytes()
    damaged.write_bytes(b"changed")
    clock = SimpleNamespace(seconds=0)
    clock.monotonic = lambda: clock.seconds
    downloads: list[int] = []
    monkeypatch.setattr(mirroring, "time", clock)
    mirror = Mirror(store, tmp_path / "cache", MIB)
    download = mirror._download

    def count(entry: Entry, target: Path) -> None:
        downloads.append(clock.seconds)
        download(entry, target)

    monkeypatch.setattr(mirror, "_download", count)
    for clock.seconds in range(0, 24 * 3_600, 30):
        with pytest.raises(BundleError, match=r"items.jsonl: sha256 is"):
            mirror.refresh()
    waits = [after - before for before, after in pairwise(downloads)]
    for wait, longest in zip(waits, (60, 120, 240, 480, 960, 1_920, *(3_600,) * 99), strict=False):
        assert 0.75 * longest <= wait <= longest
    damaged.write_bytes(good)
    clock.seconds += 3_600
    mirror.refresh()
    assert mirror.link.bundle == version(one)


def test_a_signature_with_line_ends_of_windows_is_copied_once_and_byte_for_byte(
    place: Place, mirror: Mirror, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one / "manifest.json.minisig").write_bytes(b"untrusted comment: one\r\nRWQ\r\n")
    publish_at(place.store, one)
    mirror.refresh()
    assert files_of(mirror.link.path) == files_of(one)
    monkeypatch.setattr(Mirror, "_download", None)
    Mirror(place.store, tmp_path / "cache", MIB).refresh()


def test_a_damaged_copy_is_downloaded_again_at_the_next_start(
    place: Place, mirror: Mirror, one: Path, tmp_path: Path
) -> None:
    publish_at(place.store, one)
    mirror.refresh()
    (mirror.link.path / "items.jsonl").write_bytes(b"damaged")
    Mirror(place.store, tmp_path / "cache", MIB).refresh()
    assert files_of(mirror.link.path) == files_of(one)


def test_a_rollback_to_a_damaged_copy_downloads_it_again(
    place: Place, mirror: Mirror, one: Path, other: Path
) -> None:
    for bundle in (one, other):
        publish_at(place.store, bundle)
        mirror.refresh()
    (mirror.link.folder(version(one)) / "items.jsonl").write_bytes(b"damaged")
    roll_back_at(place.store)
    mirror.refresh()
    assert mirror.link.bundle == version(one)
    assert files_of(mirror.link.path) == files_of(one)


def test_a_signature_moves_with_its_bundle_and_others_are_refused(
    place: Place, one: Path, other: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    secret, public = keys
    mirror = Mirror(place.store, tmp_path / "cache", MIB, trust_of(public))
    publish_at(place.store, one)
    with pytest.raises(BundleError, match="only signed bundles are accepted"):
        mirror.refresh()
    sign_bundle(one, secret)
    publish_at(place.store, one)
    mirror.refresh()
    assert files_of(mirror.link.path) == files_of(one)
    publish_at(place.store, other)
    with pytest.raises(BundleError, match="only signed bundles are accepted"):
        mirror.refresh()
    assert mirror.link.bundle == version(one)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Files of a secret key and its public key."""
    from minisign import KeyPair

    pair = KeyPair.generate()
    secret, public = tmp_path / "bundles.key", tmp_path / "bundles.pub"
    secret.write_bytes(bytes(pair.secret_key))
    public.write_bytes(bytes(pair.public_key))
    return secret, public


def test_the_cache_keeps_the_active_bundle_the_one_before_and_what_fits(
    place: Place, tmp_path: Path
) -> None:
    bundles = [save(tmp_path / str(number), f"Film {number}") for number in range(4)]
    size = sum(file.stat().st_size for file in bundles[0].iterdir())
    for room, kept in ((3 * size + 100, 3), (size + 100, 2)):
        mirror = Mirror(place.store, tmp_path / f"cache{kept}", room)
        for bundle in bundles:
            publish_at(place.store, bundle)
            mirror.refresh()
        copies = {path.name for path in (tmp_path / f"cache{kept}").iterdir()}
        expected = {version(bundle) for bundle in bundles[-kept:]}
        assert copies == {"active", ".active.previous", *expected}


def test_a_bundle_larger_than_the_cache_is_refused_before_it_fills_the_disk(
    place: Place, one: Path, tmp_path: Path
) -> None:
    publish_at(place.store, one)
    mirror = Mirror(place.store, tmp_path / "cache", max_bytes=10)
    with pytest.raises(BundleError, match="at most 5 are read"):
        mirror.refresh()
    assert not list((tmp_path / "cache").glob("*"))


def entry(bundle: object = "3f2a07c1b9de") -> dict[str, object]:
    return {"bundle": bundle, "manifest_sha256": "0" * 64, "signature": None}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"schema": 2}, "expected a pointer of schema 1"),
        ({"schema": 1, "active": [], "previous": None}, "active: not a JSON object"),
        ({"schema": 1, "active": entry("../../etc"), "previous": None}, "12 hexadecimal digits"),
        ({"schema": 1, "active": entry(7), "previous": None}, "bundle = 7"),
        ({"schema": 1, "active": entry(), "previous": {}}, "previous: missing keys"),
        ([], "not a JSON object"),
    ],
)
def test_a_foreign_pointer_is_refused_with_its_place(
    place: Place, mirror: Mirror, one: Path, content: object, reason: str
) -> None:
    publish_at(place.store, one)
    place.write(POINTER_NAME, json.dumps(content).encode())
    with pytest.raises(BundleError, match=reason) as refusal:
        mirror.refresh()
    assert str(refusal.value).startswith(f"{place.store.address}/{POINTER_NAME}")
