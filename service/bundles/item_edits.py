"""Keeps the item edits of every served variant equal to those in the store of edits."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from service.bundles.followed_store import FollowedStore
from service.bundles.variants import ServedVariants
from service.errors import ConflictError, NotFoundError
from service.stores.items.edits import ItemEdit, ItemEditStore


class ItemEdits:
    """The item edits that the variants apply, read from a store that other processes share."""

    def __init__(self, store: ItemEditStore, variants: ServedVariants, poll_seconds: float) -> None:
        self._variants = variants
        apply = variants.change_edits
        self._followed = FollowedStore(store, apply, poll_seconds, "edits of items")

    def __len__(self) -> int:
        return len(self._followed.items)

    async def edit(self, item_id: str, fields: Mapping[str, Any]) -> ItemEdit:
        """Sets fields of an item's edit, stores the edit and returns it.

        Args:
            item_id: id of an item of a bundle or of an added item.
            fields: new values of fields of `ItemEdit`, by name; the other fields stay as they are.

        Raises:
            NotFoundError: no variant has the item.
            ConflictError: the store is full.
            ItemStoreUnavailableError: the store does not answer; it may have stored the edit.
        """
        if all(each.recommender.catalog.index(item_id) is None for each in self._variants.served):
            raise NotFoundError(f"no item {item_id!r}")
        edited = ItemEdit(item_id)

        def change(known: ItemEdit | None) -> ItemEdit | None:
            nonlocal edited
            edited = replace(known or ItemEdit(item_id), **fields)
            return None if edited.changes_nothing else edited

        await self._followed.store.update(item_id, change)
        await self._followed.refresh()
        return edited

    async def edit_many(
        self, fields_of: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, ConflictError]:
        """Sets fields of several edits in the store; `refresh` then applies them.

        `fields_of`: new values of fields of `ItemEdit`, by name, by item id.

        Returns:
            The errors by item id: the store is full.

        Raises:
            ItemStoreUnavailableError: the store does not answer; it may have stored some edits.
        """
        changes = {
            item_id: partial(_edited, ItemEdit(item_id), fields)
            for item_id, fields in fields_of.items()
            if fields
        }
        return await self._followed.store.update_many(changes)

    async def forget_many(self, item_ids: Iterable[str]) -> None:
        """Removes the edits of several items in the store; `refresh` then applies this.

        Raises:
            ItemStoreUnavailableError: the store does not answer.
        """
        await self._followed.store.update_many(dict.fromkeys(item_ids, lambda _: None))

    async def forget(self, item_id: str) -> None:
        """Removes the edit of an item, if there is one.

        Raises:
            ItemStoreUnavailableError: the store does not answer.
        """
        await self._followed.store.remove(item_id)
        await self._followed.refresh()

    async def refresh(self) -> None:
        """Reads the changes in the store since the last call, and applies them to every variant.

        Raises:
            ItemStoreUnavailableError: the store does not answer.
        """
        await self._followed.refresh()

    async def follow(self) -> None:
        """Applies the changes in the store every `poll_seconds` until cancelled (`refresh`).

        An outage of the store is logged once.
        """
        await self._followed.follow()

    async def close(self) -> None:
        """Closes the store's connections."""
        await self._followed.store.close()


def _edited(none: ItemEdit, fields: Mapping[str, Any], known: ItemEdit | None) -> ItemEdit | None:
    """Returns `known` with new values of `fields`; None if the edit then changes nothing.

    `none`: the edit of the item that changes nothing.
    """
    edited = replace(known or none, **fields)
    return None if edited.changes_nothing else edited
