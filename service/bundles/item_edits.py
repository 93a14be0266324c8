"""Keeps the item edits of every served variant equal to those in the store of edits."""

from collections.abc import Mapping
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
        before, errors = await self.edit_many({item_id: fields})
        for error in errors.values():
            raise error
        await self._followed.refresh()
        return _edited(item_id, before[item_id], fields)

    async def edit_many(
        self, fields_of: Mapping[str, Mapping[str, Any]]
    ) -> tuple[Mapping[str, ItemEdit | None], Mapping[str, ConflictError]]:
        """Sets fields of several edits in the store; `refresh` then applies them.

        `fields_of`: new values of fields of `ItemEdit`, by name, by item id.

        Returns:
            The edits in the store before, by item id (None: no edit), and the errors by item id:
            the store is full.

        Raises:
            ItemStoreUnavailableError: the store does not answer; it may have stored some edits.
        """
        before: dict[str, ItemEdit | None] = {}

        def change(item_id: str, known: ItemEdit | None) -> ItemEdit | None:
            before[item_id] = known
            edited = _edited(item_id, known, fields_of[item_id])
            return None if edited.changes_nothing else edited

        changes = {item_id: partial(change, item_id) for item_id in fields_of}
        return before, await self._followed.store.update_many(changes)

    async def keep_hidden_only(self, item_id: str) -> None:
        """Removes all from an item's edit but whether the item is hidden.

        Raises:
            ItemStoreUnavailableError: the store does not answer.
        """
        await self.edit_many({item_id: {"title": None, "attributes": None}})
        await self._followed.refresh()

    async def put_many(self, edits: Mapping[str, ItemEdit | None]) -> None:
        """Replaces the edits of several items in the store; `refresh` then applies them.

        An edit is left out if the store is full. `edits`: by item id; None removes an edit.

        Raises:
            ItemStoreUnavailableError: the store does not answer; some may be stored.
        """
        changes = {item_id: partial(_always, edit) for item_id, edit in edits.items()}
        await self._followed.store.update_many(changes)

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


def _edited(item_id: str, known: ItemEdit | None, fields: Mapping[str, Any]) -> ItemEdit:
    """Returns the edit `known` of an item (None: there is none) with new values of `fields`."""
    return replace(known or ItemEdit(item_id), **fields)


def _always(edit: ItemEdit | None, _: ItemEdit | None) -> ItemEdit | None:
    return edit
