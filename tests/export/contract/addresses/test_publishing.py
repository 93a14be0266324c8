"""Publishing bundles to an address, and rolling back, on a real S3 protocol and on a disk."""

import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from export.contract.addresses.mirror import Mirror
from export.contract.addresses.object_store import LostRaceError, ObjectStore
from export.contract.addresses.pointer import POINTER_NAME, read_pointer
from export.contract.addresses.publishing import (
    publish_at,
    publish_first_at,
    publish_in_place_of,
    roll_back_at,
)
from export.contract.bundle import BundleError
from tests.export.contract.addresses.conftest import Place, files_of, version


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


def test_a_bundle_that_is_replaced_while_it_is_uploaded_does_not_become_active(
    place: Place, one: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = place.store.upload

    def replace_and_upload(name: str, path: Path) -> None:
        if name.endswith("manifest.json"):
            shutil.copytree(other, one, dirs_exist_ok=True)
        upload(name, path)

    monkeypatch.setattr(place.store, "upload", replace_and_upload)
    with pytest.raises(BundleError, match="replaced while it was published; publish it again"):
        publish_at(place.store, one)
    assert read_pointer(place.store) is None


def test_a_rollback_to_a_bundle_that_was_removed_is_refused_and_the_pointer_stays(
    place: Place, one: Path, other: Path
) -> None:
    for bundle in (one, other):
        publish_at(place.store, bundle)
    place.delete(f"{version(one)}/manifest.json")
    with pytest.raises(BundleError, match="removed or changed since it was published"):
        roll_back_at(place.store)
    found = read_pointer(place.store)
    assert found is not None
    assert found.pointer.active.bundle == version(other)


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
