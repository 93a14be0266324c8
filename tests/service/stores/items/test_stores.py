"""The AddedItemStore protocol: one suite for every implementation."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from redis import Redis

from service.errors import ConflictError
from service.stores.items.file_store import FileAddedItemStore
from service.stores.items.protocol import AddedItem, AddedItemStore
from service.stores.items.redis_store import RedisAddedItemStore
from service.stores.redis_client import connect_redis
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.stores.items.records import MAX_ITEMS, everything, item

if TYPE_CHECKING:
    from tests.conftest import RedisCluster, RedisServer

    Location = Path | RedisServer | RedisCluster

pytestmark = pytest.mark.anyio

Open = Callable[[], AddedItemStore]


@pytest.fixture(params=["file", "redis_server", "redis_cluster"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> "Location":
    """The file or Redis that holds the items."""
    if request.param == "file":
        return tmp_path / "items" / "added.jsonl"
    server: RedisServer | RedisCluster = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def open_store(location: "Location") -> Open:
    """Opens the same store several times, as several processes do."""
    if isinstance(location, Path):
        return lambda: FileAddedItemStore(location, MAX_ITEMS)
    return lambda: redis_store(location)


def redis_store(server: "RedisServer | RedisCluster") -> RedisAddedItemStore:
    client = connect_redis(
        server.url,
        timeout_seconds=PATIENCE_SECONDS,
        max_connections=2,
        is_cluster=server.is_cluster,
    )
    return RedisAddedItemStore(client, MAX_ITEMS)


@pytest.fixture
async def stores(open_store: Open) -> AsyncIterator[tuple[AddedItemStore, AddedItemStore]]:
    """Two stores on the same file or Redis."""
    stores = open_store(), open_store()
    yield stores
    for store in stores:
        await store.close()


@pytest.fixture
def store(stores: tuple[AddedItemStore, AddedItemStore]) -> AddedItemStore:
    return stores[0]


async def test_an_empty_store_has_no_items(store: AddedItemStore) -> None:
    assert await everything(store) == {}


async def test_an_item_is_read_as_it_was_put(store: AddedItemStore) -> None:
    await store.put(item("a/b"))
    assert await everything(store) == {"a/b": item("a/b")}


async def test_an_item_replaces_the_one_with_its_id(store: AddedItemStore) -> None:
    await store.put(item("a"))
    await store.put(item("a", value=3))
    assert await everything(store) == {"a": item("a", value=3)}


async def test_a_removed_item_is_gone_and_may_come_back(store: AddedItemStore) -> None:
    await store.put(item("a"))
    await store.remove("a")
    await store.remove("never there")
    assert await everything(store) == {}
    await store.put(item("a"))
    assert set(await everything(store)) == {"a"}


async def test_another_process_reads_only_what_changed(
    stores: tuple[AddedItemStore, AddedItemStore],
) -> None:
    writer, reader = stores
    await writer.put(item("a"))
    known = await reader.changes("")
    await writer.put(item("b"))
    await writer.remove("a")
    changes = await reader.changes(known.version)
    assert (dict(changes.items), changes.is_complete) == ({"a": None, "b": item("b")}, False)
    assert changes.applied_to(known.applied_to({})) == {"b": item("b")}


async def test_nothing_changes_while_nothing_is_written(store: AddedItemStore) -> None:
    for _ in range(2):
        before = await store.changes("")
        after = await store.changes(before.version)
        assert (after.version, after.items, after.is_complete) == (before.version, {}, False)
        await store.put(item("a"))


async def test_an_equal_item_put_again_changes_nothing(store: AddedItemStore) -> None:
    await store.put(item("a"))
    before = await store.changes("")
    await store.put(item("a"))
    assert (await store.changes(before.version)).version == before.version


async def test_a_full_store_refuses_new_items_but_replaces_known_ones(
    store: AddedItemStore,
) -> None:
    for item_id in "abc":
        await store.put(item(item_id))
    with pytest.raises(ConflictError, match="3 items"):
        await store.put(item("d"))
    await store.put(item("c", value=9))
    await store.remove("a")
    await store.put(item("d"))
    assert set(await everything(store)) == set("bcd")


async def test_a_store_that_another_process_emptied_is_read_again(
    store: AddedItemStore, location: "Location"
) -> None:
    await store.put(item("a"))
    await store.put(item("b"))
    known = await store.changes("")
    empty(location)
    changes = await store.changes(known.version)
    assert changes.applied_to(known.applied_to({})) == {}


async def test_a_store_that_was_emptied_and_filled_again_has_no_old_items(
    store: AddedItemStore, location: "Location"
) -> None:
    await store.put(item("a"))
    known = await store.changes("")
    empty(location)
    await store.put(item("b"))
    changes = await store.changes(known.version)
    assert set(changes.applied_to(known.applied_to({}))) == {"b"}


def empty(location: "Location") -> None:
    if isinstance(location, Path):
        location.rename(location.with_suffix(".old"))
        location.write_bytes(b"")
    else:
        location.flush()


async def test_concurrent_writers_lose_nothing_and_keep_the_limit(
    stores: tuple[AddedItemStore, AddedItemStore],
) -> None:
    refused = []

    async def put(store: AddedItemStore, item_id: str) -> None:
        try:
            await store.put(item(item_id))
        except ConflictError:
            refused.append(item_id)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(put, stores[number % 2], str(number))
    stored = await everything(stores[0])
    assert len(stored) == MAX_ITEMS
    assert set(stored) | set(refused) == set("0123456789")


async def test_concurrent_changes_of_one_record_are_all_kept(
    stores: tuple[AddedItemStore, AddedItemStore],
) -> None:
    """Each change makes the title one letter longer."""
    await stores[0].put(item("a", title="."))

    def longer(known: AddedItem | None) -> AddedItem | None:
        return item("a", title=f"{known.item.title}." if known else "lost")

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(stores[number % 2].update, "a", longer)
    assert (await everything(stores[0]))["a"].item.title == "." * 11


async def test_a_change_may_remove_a_record_and_make_a_new_one(store: AddedItemStore) -> None:
    await store.put(item("a"))
    await store.update("a", lambda _: None)
    assert await everything(store) == {}
    await store.update("b", lambda known: item("b") if known is None else None)
    assert await everything(store) == {"b": item("b")}


async def test_many_records_are_updated_and_those_without_room_are_told(
    stores: tuple[AddedItemStore, AddedItemStore],
) -> None:
    writer, reader = stores
    await writer.put(item("a"))
    await writer.put(item("b"))
    known = await reader.changes("")
    without_room = await writer.update_many(
        {
            "a": lambda _: None,
            "b": lambda known: item("b", value=9) if known == item("b") else None,
            **{item_id: partial(_always, item(item_id)) for item_id in "cde"},
        }
    )
    assert list(without_room) == ["e"]
    assert "3 items are added already" in str(without_room["e"])
    expected = {"b": item("b", value=9), "c": item("c"), "d": item("d")}
    changes = await reader.changes(known.version)
    assert changes.items == {"a": None, **expected}
    assert await everything(writer) == expected


def _always(record: AddedItem, _: AddedItem | None) -> AddedItem:
    return record


async def test_many_changes_are_read_in_parts_and_none_is_left_out(
    redis_server: "RedisServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.items.redis_store._AT_ONCE", 2)
    store = redis_store(redis_server)
    store._max_items = 600  # more than Redis packs into a list, so that it gives them in parts
    await store.put(item("first"))
    known = await store.changes("")
    names = [str(number) for number in range(600)]
    without_room = await store.update_many({name: partial(_always, item(name)) for name in names})
    assert list(without_room) == ["599"]
    changes = await store.changes(known.version)
    assert changes.applied_to(known.applied_to({})).keys() == {"first", *names[:-1]}
    assert (await everything(store)).keys() == {"first", *names[:-1]}
    await store.close()


UNREADABLE = (
    "{not json",
    "[]",
    '{"item_id": "bad", "title": 5, "attributes": {}, "embedding": ""}',
    '{"item_id": "bad", "title": "Bad", "attributes": {}, "embedding": "AAAA"}',
)


@pytest.mark.parametrize("text", UNREADABLE)
async def test_an_item_that_cannot_be_read_is_skipped_and_logged(
    redis_server: "RedisServer", caplog: pytest.LogCaptureFixture, text: str
) -> None:
    store = redis_store(redis_server)
    await store.put(item("a"))
    known = await store.changes("")
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.hset("{added-items}", "bad", text)
        version = client.incr("{added-items}:version")
        client.zadd("{added-items}:touched", {"bad": version})
    assert await everything(store) == {"a": item("a")}
    assert (await store.changes(known.version)).items == {"bad": None}
    assert caplog.text.count("an entry of the added items is skipped: not an added item: ") == 2
    await store.put(item("b"))
    assert set(await everything(store)) == {"a", "b"}
    await store.close()


async def test_a_version_older_than_the_remembered_removals_gets_all_items(
    redis_server: "RedisServer",
) -> None:
    """The store remembers changes of at most twice as many ids as items may be stored."""
    store = redis_store(redis_server)
    await store.put(item("first"))
    known = await store.changes("")
    for number in range(20):
        await store.put(item(str(number)))
        await store.remove(str(number))
    await store.remove("first")
    changes = await store.changes(known.version)
    assert changes.is_complete
    assert changes.applied_to(known.applied_to({})) == {}
    with Redis.from_url(redis_server.url) as client:
        assert client.zcard("{added-items}:touched") == 2 * MAX_ITEMS
    await store.close()
