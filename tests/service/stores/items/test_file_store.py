"""A file of added items, which crashes may cut short, and which is compacted."""

import os
from pathlib import Path

import orjson
import pytest

from service.stores.items.file_store import FileAddedItemStore
from tests.service.stores.items.records import MAX_ITEMS, everything, item

pytestmark = pytest.mark.anyio


async def test_a_file_with_the_inode_of_a_deleted_one_is_read_from_its_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "added.jsonl"
    store = FileAddedItemStore(path, MAX_ITEMS)
    await store.put(item("a"))
    known = await store.changes("")
    os.truncate(path, 0)
    changes = await store.changes(known.version)
    assert (changes.items, changes.is_complete) == ({}, True)
    await store.put(item("a"))
    assert await everything(store) == {"a": item("a")}


async def test_a_record_is_stored_though_a_compacted_file_has_the_inode_of_the_one_last_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.items.file_store._GROWTH_BYTES", 1_000)
    path, deleted = tmp_path / "added.jsonl", tmp_path / "deleted"
    store, other = (FileAddedItemStore(path, MAX_ITEMS) for _ in range(2))
    await store.put(item("a"))
    await other.put(item("b"))
    known = await other.changes("")
    os.link(path, deleted)
    await store.remove("a")
    for value in range(50):
        await store.put(item("c", title="A longer title" * 5, value=value))
    assert not path.samefile(deleted)
    _give_inode(path, deleted)
    changes = await other.changes(known.version)
    assert (set(changes.items), changes.is_complete) == (set("bc"), True)
    await other.put(item("a"))
    assert set(await everything(store)) == set("abc")


async def test_a_file_of_an_earlier_release_is_read_and_gets_a_generation(tmp_path: Path) -> None:
    path, deleted = tmp_path / "added.jsonl", tmp_path / "deleted"
    lines = item("a").to_json() + b"\n" + item("b").to_json() + b"\n"
    path.write_bytes(lines)
    os.link(path, deleted)
    store = FileAddedItemStore(path, MAX_ITEMS)
    known = await store.changes("")
    assert known.items == {"a": item("a"), "b": item("b")}
    await store.put(item("a"))
    generation, _, records = path.read_bytes().partition(b"\n")
    assert records == lines
    assert list(orjson.loads(generation)) == ["generation"]
    _give_inode(path, deleted)
    assert (await store.changes(known.version)).is_complete


def _give_inode(path: Path, deleted: Path) -> None:
    """Gives `path` the inode of `deleted`, as a file system does that gives it to a new file."""
    deleted.write_bytes(path.read_bytes())
    deleted.replace(path)


async def test_a_line_that_a_crash_cut_short_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "added.jsonl"
    store = FileAddedItemStore(path, MAX_ITEMS)
    await store.put(item("a"))
    await store.put(item("b"))
    path.write_bytes(path.read_bytes()[:-20])
    assert set(await everything(store)) == {"a"}
    await store.put(item("c"))
    assert set(await everything(store)) == {"a", "c"}


@pytest.mark.parametrize("removed", ["null", "5", '["a"]', '{"a": 1}'])
async def test_a_removal_that_names_no_item_is_skipped_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, removed: str
) -> None:
    path = tmp_path / "added.jsonl"
    store = FileAddedItemStore(path, MAX_ITEMS)
    await store.put(item("a"))
    with path.open("a") as file:
        file.write(f'{{"removed": {removed}}}\n')
    assert await everything(store) == {"a": item("a")}
    assert "a line of the added items is skipped: " in caplog.text


async def test_the_first_write_of_a_process_compacts_the_file(tmp_path: Path) -> None:
    path = tmp_path / "added.jsonl"
    older, newer = (FileAddedItemStore(path, MAX_ITEMS) for _ in range(2))
    for value in range(10):
        await older.put(item("a", value=value))
    await older.put(item("b"))
    await older.remove("b")
    known = await older.changes("")
    await newer.put(item("c"))
    assert path.read_bytes().count(b"\n") == 3  # the generation, a and c
    changes = await older.changes(known.version)
    assert changes.applied_to(known.applied_to({})) == {"a": item("a", value=9), "c": item("c")}
    await older.put(item("d"))
    assert set(await everything(newer)) == set("acd")


async def test_a_file_that_has_grown_is_compacted_again_and_read_on_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.items.file_store._GROWTH_BYTES", 1_000)
    path = tmp_path / "added.jsonl"
    store, other = (FileAddedItemStore(path, MAX_ITEMS) for _ in range(2))
    await other.put(item("b"))
    known = await other.changes("")
    for value in range(100):
        await store.put(item("a", value=value))
        assert path.stat().st_size < 2_000
    changes = await other.changes(known.version)
    assert changes.applied_to(known.applied_to({})) == {"b": item("b"), "a": item("a", value=99)}
