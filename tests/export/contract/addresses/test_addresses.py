"""Publishing bundles to an address, and following it, on a real S3 protocol and on a disk."""

import json
import socket
import threading
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from export.contract.addresses import fsspec_store, local_store
from export.contract.addresses import mirror as mirroring
from export.contract.addresses.mirror import Mirror
from export.contract.addresses.object_store import LostRaceError, ObjectStore, Stored, StoreError
from export.contract.addresses.opening import open_store
from export.contract.addresses.pointer import POINTER_NAME, Entry, read_pointer
from export.contract.addresses.publishing import (
    publish_at,
    publish_first_at,
    publish_in_place_of,
    roll_back_at,
)
from export.contract.bundle import BundleError, Item, load_bundle, save_bundle
from export.contract.publish import trust_of
from export.contract.reading import copy_file
from export.contract.signatures import sign_bundle

if TYPE_CHECKING:
    from tests.conftest import S3

MIB = 2**20


def save(folder: Path, title: str) -> Path:
    """Saves a bundle."""
    (folder.parent / "exported.onnx").write_bytes(b"graph")
    save_bundle(
        folder,
        folder.parent / "exported.onnx",
        [Item("up", title)],
        student="sasrec",
        max_history_length=50,
        metrics={},
        parity_error=0.0,
        provenance={},
    )
    return folder


def version(folder: Path) -> str:
    return load_bundle(folder).manifest.model_version


class Place:
    """A store at an address, whose objects a test may damage."""

    def __init__(self, address: str, s3: "S3") -> None:
        self.store = open_store(address)
        self._s3 = s3

    def write(self, name: str, content: bytes) -> None:
        address = f"{self.store.address}/{name}"
        if address.startswith("file://"):
            Path(address.removeprefix("file://")).write_bytes(content)
        else:
            self._s3.write(address, content)

    def delete(self, name: str) -> None:
        address = f"{self.store.address}/{name}"
        if address.startswith("file://"):
            Path(address.removeprefix("file://")).unlink()
        else:
            self._s3.delete(address)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: "S3") -> Place:
    is_local = request.param == "file"
    return Place(f"file://{tmp_path}/store" if is_local else f"{s3.new_bucket()}/shop", s3)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return save(tmp_path / "one", "Up")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return save(tmp_path / "other", "Heat")


@pytest.fixture
def mirror(place: Place, tmp_path: Path) -> Mirror:
    return Mirror(place.store, tmp_path / "cache", MIB)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_published_bundle_is_followed_byte_for_byte_and_so_are_the_next_and_a_rollback(
    place: Place, mirror: Mirror, one: Path, other: Path
) -> None:
    with pytest.raises(BundleError, match=rf"{POINTER_NAME}: missing"):
        mirror.refresh()
    for bundle in (one, other):
        publish_at(place.store, bundle)
        mirror.refresh()
        assert files_of(mirror.link.path) == files_of(bundle)
    assert mirror.link.previous == version(one)

    for expected in (one, other):
        roll_back_at(place.store)
        mirror.refresh()
        assert mirror.link.bundle == version(expected)


def test_the_second_of_two_publishers_at_once_is_refused_and_told_who_was_first(
    place: Place, one: Path, other: Path
) -> None:
    class Slow:
        """A store to which somebody else publishes while a bundle is uploaded."""

        address = place.store.address

        def __getattr__(self, name: str) -> Any:
            return getattr(place.store, name)

        def upload(self, name: str, path: Path) -> None:
            place.store.upload(name, path)
            if name.endswith("manifest.json"):
                publish_at(place.store, one)

    slow = cast("ObjectStore", Slow())
    with pytest.raises(LostRaceError, match=f"another program has made {version(one)} active"):
        publish_at(slow, other)
    found = read_pointer(place.store)
    assert found is not None
    assert found.pointer.active.bundle == version(one)

    assert publish_at(place.store, other).active.bundle == version(other)


def test_two_uploads_of_one_object_at_once_leave_the_whole_content_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"file://{tmp_path}/store")
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"first")
    second.write_bytes(b"second")

    def copy_while_another_uploads(path: Path, target: Path, at_most: int) -> None:
        copy_file(path, target, at_most)
        monkeypatch.setattr(local_store, "copy_file", copy_file)
        store.upload("1/model.onnx", second)

    monkeypatch.setattr(local_store, "copy_file", copy_while_another_uploads)
    store.upload("1/model.onnx", first)
    assert files_of(tmp_path / "store" / "1") == {"model.onnx": b"first"}


def test_an_upload_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="missing"):
        open_store(f"file://{tmp_path}/store").upload("1/model.onnx", tmp_path / "no-such-file")
    assert files_of(tmp_path / "store" / "1") == {}


def test_a_bundle_is_published_in_place_of_the_expected_one_only(
    place: Place, one: Path, other: Path
) -> None:
    publish_in_place_of(place.store, one, champion=None)
    with pytest.raises(LostRaceError, match="where nothing was expected"):
        publish_in_place_of(place.store, other, champion=None)
    publish_in_place_of(place.store, other, champion=version(one))
    assert publish_first_at(place.store, one).active.bundle == version(other)


def test_a_write_whose_first_answer_was_lost_is_no_lost_race(place: Place, one: Path) -> None:
    class Deaf:
        """A store that repeats a write which succeeded, as libraries do after a timeout."""

        address = place.store.address

        def __getattr__(self, name: str) -> Any:
            return getattr(place.store, name)

        def replace(self, name: str, content: bytes, expected: str | None) -> None:
            place.store.replace(name, content, expected)
            place.store.replace(name, content, expected)

    deaf = cast("ObjectStore", Deaf())
    assert publish_at(deaf, one).active.bundle == version(one)


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


def test_a_torn_upload_changes_nothing_and_publishing_again_completes_it(
    place: Place, mirror: Mirror, one: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_at(place.store, one)
    upload = place.store.upload

    def die(name: str, path: Path) -> None:
        if name.endswith("histories.jsonl"):
            raise KeyboardInterrupt
        upload(name, path)

    with monkeypatch.context() as dying:
        dying.setattr(place.store, "upload", die)
        with pytest.raises(KeyboardInterrupt):
            publish_at(place.store, other)
    mirror.refresh()
    assert mirror.link.bundle == version(one)

    # By hand, somebody makes the torn one active.
    good = publish_at(place.store, other)
    place.delete(f"{good.active.bundle}/histories.jsonl")
    with pytest.raises(BundleError, match=r"histories.jsonl: missing"):
        mirror.refresh()
    assert mirror.link.bundle == version(one)


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


def test_a_large_object_is_not_read(place: Place, one: Path) -> None:
    place.store.upload("large", one / "model.onnx")
    with pytest.raises(BundleError, match="5 bytes, at most 4 are read"):
        place.store.read("large", 4)
    assert place.store.read("large", 5) is not None


@pytest.mark.usefixtures("s3")
def test_a_lost_store_says_nothing_about_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="the store fails or refuses"):
        read_pointer(open_store("s3://bucket/shop"))


def test_a_folder_that_the_system_cannot_read_is_a_lost_store_and_not_an_empty_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"")
    long = tmp_path / ("x" * 300)  # longer than the name of a file may be
    for folder, reason in ((long, "File name too long"), (tmp_path / "file", "Not a directory")):
        store = open_store(f"file://{folder}")
        for lost in (
            lambda store=store: store.read("active.json", 9),
            lambda store=store: list(store.blocks("active.json", 9)),
            lambda store=store: Mirror(store, tmp_path / "cache", MIB).refresh(),
        ):
            with pytest.raises(StoreError, match=reason):
                lost()
    assert open_store(f"file://{tmp_path}/nothing").read("active.json", 9) is None


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_does_not_exist_has_no_bundle(tmp_path: Path) -> None:
    mirror = Mirror(open_store("s3://no-such-bucket/shop"), tmp_path / "cache", MIB)
    with pytest.raises(BundleError, match="no-such-bucket"):
        mirror.refresh()


def test_any_address_of_fsspec_can_be_followed_but_not_published_to(
    one: Path, tmp_path: Path
) -> None:
    import fsspec

    local = open_store(f"file://{tmp_path}/store")
    publish_at(local, one)
    memory = fsspec.filesystem("memory")
    memory.put(f"{tmp_path}/store/", "/shop/", recursive=True)
    mirror = Mirror(open_store("memory://shop"), tmp_path / "cache", MIB)
    mirror.refresh()
    assert files_of(mirror.link.path) == files_of(one)
    with pytest.raises(BundleError, match="it has no conditional write; publish to s3://"):
        publish_at(open_store("memory://shop"), save(tmp_path / "new", "Jaws"))
    memory.rm("/shop", recursive=True)


def test_a_hanging_read_of_fsspec_is_a_lost_store_and_few_threads_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fsspec_store, "_REQUEST_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts and never answers
        store = open_store(f"ftp://127.0.0.1:{server.getsockname()[1]}/shop")
        threads = threading.active_count()
        for number in range(12):
            reason = "no answer within" if number < 8 else "8 requests before have not ended"
            with pytest.raises(StoreError, match=reason):
                store.read("active.json", 9)
        assert threading.active_count() - threads <= 10


@pytest.mark.parametrize("address", ["bundles", "file://host/x", "nowhere://x", "s3://"])
def test_what_is_no_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(BundleError, match=address):
        open_store(address)
