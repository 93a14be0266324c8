"""Stores at addresses: whole uploads, bounded reads, and failures told from missing objects."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec import AbstractFileSystem, register_implementation

from export.contract.addresses import local_store, timed_requests
from export.contract.addresses.mirror import Mirror
from export.contract.addresses.object_store import StoreError
from export.contract.addresses.opening import open_store
from export.contract.addresses.place import place_of
from export.contract.addresses.pointer import read_pointer
from export.contract.addresses.publishing import publish_at
from export.contract.bundle import BundleError
from export.contract.reading import copy_file
from tests.conftest import TIMEOUT_SECONDS
from tests.export.contract.addresses.conftest import MIB, Place, files_of, save


def test_two_uploads_of_one_object_at_once_leave_the_whole_content_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"file://{tmp_path}/store")
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"first")
    second.write_bytes(b"second")
    other = threading.Thread(target=store.upload, args=("1/model.onnx", second))

    def copy_while_another_uploads(path: Path, target: Path, at_most: int) -> None:
        copy_file(path, target, at_most)
        monkeypatch.setattr(local_store, "copy_file", copy_file)
        other.start()
        other.join(0.2)  # it waits for the lock, else it would end here

    monkeypatch.setattr(local_store, "copy_file", copy_while_another_uploads)
    store.upload("1/model.onnx", first)
    other.join()
    assert files_of(tmp_path / "store" / "1") == {"model.onnx": b"second"}


_KILLED_UPLOAD = """
import os, signal, sys
from pathlib import Path
from export.contract.addresses import local_store

def killed(path, target, at_most):
    target.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

local_store.copy_file = killed
local_store.LocalStore(sys.argv[1]).upload("1/model.onnx", Path("unread"))
"""


def test_the_part_that_a_killed_upload_left_is_gone_after_the_next_upload(tmp_path: Path) -> None:
    address, folder = f"file://{tmp_path}/store", tmp_path / "store" / "1"
    killed = subprocess.run([sys.executable, "-c", _KILLED_UPLOAD, address], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(files_of(folder).values()) == [b"half"]
    (tmp_path / "items.jsonl").write_bytes(b"items")
    open_store(address).upload("1/items.jsonl", tmp_path / "items.jsonl")
    assert files_of(folder) == {"items.jsonl": b"items"}


def test_an_upload_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="missing"):
        open_store(f"file://{tmp_path}/store").upload("1/model.onnx", tmp_path / "no-such-file")
    assert files_of(tmp_path / "store" / "1") == {}


def test_an_address_of_a_folder_may_have_percent_codes(tmp_path: Path) -> None:
    (tmp_path / "my shop").mkdir()
    (tmp_path / "my shop" / "active.json").write_bytes(b"{}")
    found = open_store(f"file://{tmp_path}/my%20shop").read("active.json", 2)
    assert found is not None
    assert found.content == b"{}"


@pytest.mark.parametrize("name", ["shop#1", "shop?1"])
def test_an_address_of_a_folder_is_read_to_its_end(name: str, tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/{name}").replace("active.json", b"{}", None)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_the_case_of_a_scheme_does_not_matter(tmp_path: Path) -> None:
    place = place_of(f"FILE://{tmp_path}/store")
    assert place.name == f"file://{tmp_path}/store"


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
    monkeypatch.setattr(timed_requests, "_REQUEST_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts and never answers
        store = open_store(f"ftp://127.0.0.1:{server.getsockname()[1]}/shop")
        threads = threading.active_count()
        for number in range(12):
            reason = "no answer within" if number < 8 else "8 requests before have not ended"
            with pytest.raises(StoreError, match=reason):
                store.read("active.json", 9)
        assert threading.active_count() - threads <= 10


class GatedFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system of one object, whose requests hang until `gate` is set."""

    protocol = "gated"
    gate = threading.Event()
    connections: ClassVar[list["GatedFiles"]] = []
    closed: ClassVar[list["GatedFile"]] = []

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.connections.append(self)

    def _open(self, *_: Any, **__: Any) -> "GatedFile":
        assert self.gate.wait(TIMEOUT_SECONDS)
        return GatedFile(b"content")


class GatedFile:
    """An object of `GatedFiles`, which notes that it is closed."""

    def __init__(self, content: bytes) -> None:
        self.read = BytesIO(content).read

    def close(self) -> None:
        GatedFiles.closed.append(self)


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[GatedFiles]]:
    """A kind of address whose stores hang."""
    register_implementation("gated", GatedFiles, clobber=True)
    monkeypatch.setattr(GatedFiles, "gate", threading.Event())
    monkeypatch.setattr(GatedFiles, "connections", [])
    monkeypatch.setattr(GatedFiles, "closed", [])
    yield GatedFiles
    GatedFiles.gate.set()


def test_a_file_of_fsspec_is_closed_after_its_last_block_or_an_error(
    gated: type[GatedFiles],
) -> None:
    gated.gate.set()
    store = open_store("gated://shop")
    assert (found := store.read("model.onnx", 7)) is not None
    assert (found.content, len(gated.closed)) == (b"content", 1)
    with pytest.raises(BundleError, match="7 bytes, at most 6"):
        store.read("model.onnx", 6)
    assert len(gated.closed) == 2


def test_a_store_of_fsspec_that_answers_again_is_read_through_a_new_connection(
    gated: type[GatedFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, hanging = open_store("gated://shop"), gated.gate
    with monkeypatch.context() as hasty:
        hasty.setattr(timed_requests, "_REQUEST_SECONDS", 0.02)
        for _ in range(8):
            with pytest.raises(StoreError, match="no answer within"):
                store.read("model.onnx", 7)
    gated.gate = threading.Event()
    gated.gate.set()
    monkeypatch.setattr(timed_requests, "_FIRST_PAUSE_SECONDS", 0)
    for _ in range(2):
        assert (found := store.read("model.onnx", 7)) is not None
        assert found.content == b"content"
    assert (len(gated.connections), len(gated.closed)) == (9, 2)
    hanging.set()


@pytest.mark.parametrize("address", ["bundles", "file://host/x", "nowhere://x", "s3://"])
def test_what_is_no_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(BundleError, match=address):
        open_store(address)
