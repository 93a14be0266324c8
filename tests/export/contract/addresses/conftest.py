"""Two bundles, a place to publish them to on a real S3 protocol and on a disk, and its mirror."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from export.contract.addresses.mirror import Mirror
from export.contract.addresses.opening import open_store
from export.contract.bundle import load_bundle
from tests.export.contract.small_bundle import save_small_bundle

if TYPE_CHECKING:
    from tests.conftest import S3

MIB = 2**20


def save(folder: Path, title: str) -> Path:
    """Saves a bundle; returns its folder."""
    save_small_bundle(folder, title)
    return folder


def version(folder: Path) -> str:
    """The version of the bundle in `folder`."""
    return load_bundle(folder).manifest.model_version


class Place:
    """A store at an address, whose objects a test may damage."""

    def __init__(self, address: str, s3: "S3") -> None:
        self.store = open_store(address)
        self._s3 = s3

    def write(self, name: str, content: bytes) -> None:
        """Overwrites the object `name`."""
        address = f"{self.store.address}/{name}"
        if address.startswith("file://"):
            Path(address.removeprefix("file://")).write_bytes(content)
        else:
            self._s3.write(address, content)

    def delete(self, name: str) -> None:
        """Removes the object `name`."""
        address = f"{self.store.address}/{name}"
        if address.startswith("file://"):
            Path(address.removeprefix("file://")).unlink()
        else:
            self._s3.delete(address)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: "S3") -> Place:
    """An empty store, on a disk and on a real S3 protocol."""
    is_local = request.param == "file"
    return Place(f"file://{tmp_path}/store" if is_local else f"{s3.new_bucket()}/shop", s3)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A saved bundle."""
    return save(tmp_path / "one", "Up")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A saved bundle of another version."""
    return save(tmp_path / "other", "Heat")


@pytest.fixture
def mirror(place: Place, tmp_path: Path) -> Mirror:
    """A mirror of `place`, with an empty cache."""
    return Mirror(place.store, tmp_path / "cache", MIB)


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of each file in `folder`, by its name."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}
