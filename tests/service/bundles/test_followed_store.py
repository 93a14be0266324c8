"""A copy of the records of a store is brought up to date in parts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from service.bundles.followed_store import FollowedStore
from service.stores.items.file_store import FileAddedItemStore
from service.stores.items.protocol import AddedItem
from tests.service.stores.items.records import item

pytestmark = pytest.mark.anyio

Changed = Mapping[str, AddedItem | None]


def always(record: AddedItem) -> Callable[[AddedItem | None], AddedItem]:
    """Returns a change that leads to `record`, whatever was stored."""
    return lambda _: record


async def test_many_changes_are_passed_on_in_parts_and_all_of_them_once(tmp_path: Path) -> None:
    """2,500 new items: two parts of a thousand, and the rest."""
    store = FileAddedItemStore(tmp_path / "added.jsonl", 5_000)
    names = [f"i{number}" for number in range(2_500)]
    await store.update_many({name: always(item(name)) for name in names})
    parts: list[Changed] = []

    async def apply(changed: Changed) -> None:
        parts.append(changed)

    followed = FollowedStore(store, apply, 1.0, "added items")
    await followed.refresh()
    await followed.refresh()

    assert [len(part) for part in parts] == [1_000, 1_000, 500]
    assert [name for part in parts for name in part] == names
    assert followed.items.keys() == set(names)


async def test_changes_that_could_not_be_applied_are_passed_on_again(tmp_path: Path) -> None:
    store = FileAddedItemStore(tmp_path / "added.jsonl", 5_000)
    names = {f"i{number}" for number in range(1_500)}
    await store.update_many({name: always(item(name)) for name in names})
    applied: set[str] = set()
    fails = True

    async def apply(changed: Changed) -> None:
        if fails and applied:
            raise RuntimeError("the second part")
        applied.update(changed)

    followed = FollowedStore(store, apply, 1.0, "added items")
    with pytest.raises(RuntimeError, match="the second part"):
        await followed.refresh()
    assert len(applied) == 1_000

    fails = False
    await followed.refresh()

    assert applied == followed.items.keys() == names
