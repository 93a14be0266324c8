"""Makes many changes of items in slices, and decides what each change does to its item.

1. A removal removes an added item, and its edit unless a served bundle has the item, too.
2. A change of an item that every served bundle has becomes an edit; its embedding is not used. The
   same holds for a change without a title, if one served bundle has the item.
3. A change of any other item adds the item or replaces the added one. Fields that are left out stay
   as they are. A new title needs an embedding: that of the change, or one that the teacher makes.
   Whether the item is hidden is kept as an edit.

A change that is made twice leads to the same state, so a request can be sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from export.contract.bundle import Item
from service.bundles.added_items import AddedItems
from service.bundles.item_edits import ItemEdits
from service.errors import (
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    TeacherUnavailableError,
)
from service.stores.items.protocol import AddedItem

Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""Embeds titles; raises TeacherUnavailableError."""

Failures = dict[str, ServiceError]
"""The reasons for which changes were not made, by item id."""

IN_SLICE = 40
"""Maximum number of changes that are made between two turns of the event loop."""

_TITLES_IN_SLICE = 16  # that the teacher must embed, which takes seconds


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A change of one item.

    Attributes:
        item_id: id of the item.
        fields: the fields of `ItemEdit` that are given, by name.
        embedding: the LLM's embedding of the title, little-endian float32; empty: not given.
        is_removal: whether the item is removed; the other fields are not used.
    """

    item_id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    embedding: bytes = b""
    is_removal: bool = False

    def added_to(self, known: AddedItem | None) -> AddedItem:
        """Returns the added item after this change.

        Its title is empty if none is known, its embedding if the title needs a new one. `known`:
        the added item before; None: there is none.
        """
        title, attributes = self.fields.get("title"), self.fields.get("attributes")
        if attributes is None:
            attributes = known.item.attributes if known else {}
        embedding = self.embedding
        if known and not embedding and title in (None, known.item.title):
            embedding = known.embedding
        title = title or (known.item.title if known else "")
        return AddedItem(Item(self.item_id, title, attributes=attributes), embedding)

    def edit_of_added(self) -> Mapping[str, Any]:
        """Returns the fields to set in the edit of an added item, which keeps its own title."""
        return {name: value if name == "hidden" else None for name, value in self.fields.items()}


class BulkChanges:
    """Makes many changes of added items and of edits.

    Attributes:
        one_at_a_time: lock of the request that makes its changes, so that several requests take no
            more of the event loop than one.
    """

    def __init__(self, added_items: AddedItems, item_edits: ItemEdits, embed: Embed) -> None:
        """Stores what the changes are made with; `embed` asks the teacher to embed titles."""
        self._added = added_items
        self._edits = item_edits
        self._embed = embed
        self._unseen = set[str]()  # ids of items in `_added` that are other ones in the store
        self.one_at_a_time = asyncio.Lock()

    async def make(self, changes: Sequence[ItemChange]) -> tuple[int, Failures]:
        """Makes the first changes, as many as one slice may have, at least one.

        They are in the stores then; `refresh` applies them to this worker, too. It must be called
        before the first slice of a request, because another worker may have added items just now.

        Returns:
            The number of changes that were worked on, and the failures among them.

        Raises:
            ItemStoreUnavailableError: a store does not answer; some changes may have been made.
        """
        first = _of_different_items(changes[:IN_SLICE])
        if self._unseen.intersection(each.item_id for each in first):
            await self._refresh_added()
        additions = {each.item_id: each for each in first if self._is_addition(each)}
        slice_ = first[: self._length_of_slice(first, additions)]
        failures: Failures = {}
        await self._remove([each.item_id for each in slice_ if each.is_removal], failures)
        additions = {each.item_id: each for each in slice_ if each.item_id in additions}
        edits = {
            each.item_id: each.fields
            for each in slice_
            if not each.is_removal and each.item_id not in additions
        }
        added = await self._planned(additions, failures)
        edits |= {item_id: additions[item_id].edit_of_added() for item_id in added}
        # First, so that a hidden item is never shown between its addition and its edit.
        before, full = await self._edits.edit_many(edits)
        failures |= full
        puts = {item_id: each for item_id, each in added.items() if item_id not in failures}
        self._unseen.update(puts)
        full = await self._added.put_many(puts)
        failures |= full
        await self._edits.put_many({item_id: before[item_id] for item_id in full})
        return len(slice_), failures

    async def refresh(self) -> None:
        """Applies the changes in the stores to this worker.

        Raises:
            ItemStoreUnavailableError: a store does not answer.
        """
        await self._edits.refresh()
        await self._refresh_added()

    async def _refresh_added(self) -> None:
        await self._added.refresh()
        self._unseen.clear()

    async def _remove(self, item_ids: Sequence[str], failures: Failures) -> None:
        """Removes added items and their edits from the stores; adds to `failures` in place.

        Called before the additions of a slice, which may need the room.
        """
        self._unseen.update(item_ids)
        failures |= await self._added.remove_many(item_ids)
        removed = [each for each in item_ids if each not in failures]
        added_only = [each for each in removed if not any(self._added.bundles_with(each))]
        await self._edits.put_many(dict.fromkeys(added_only))

    def _is_addition(self, change: ItemChange) -> bool:
        """Returns whether a change adds an item or changes an added one; else it is an edit.

        A change without a title is an edit if one variant's bundle has the item.
        """
        has_it = self._added.bundles_with(change.item_id)
        if change.is_removal or all(has_it):
            return False
        names_it = bool(change.fields.get("title")) or self._added.get(change.item_id) is not None
        return names_it or not any(has_it)

    def _length_of_slice(
        self, changes: Sequence[ItemChange], additions: Mapping[str, ItemChange]
    ) -> int:
        """Returns how many of the first changes need few new embeddings by the teacher."""
        num_titles = 0
        for place, change in enumerate(changes):
            if change.item_id in additions:
                num_titles += not change.added_to(self._added.get(change.item_id)).embedding
            if num_titles > _TITLES_IN_SLICE:
                return place
        return len(changes)

    async def _planned(
        self, changes: Mapping[str, ItemChange], failures: Failures
    ) -> Mapping[str, AddedItem]:
        """Returns the added items after `changes`, by item id; adds to `failures` in place."""
        planned: dict[str, AddedItem] = {}
        for item_id, change in changes.items():
            known = self._added.get(item_id)
            after = change.added_to(known)
            if not after.item.title:
                failures[item_id] = NotFoundError(f"no item {item_id!r}: send a title to add it")
            elif after != known or change.edit_of_added():
                planned[item_id] = after
        missing = {item_id: each for item_id, each in planned.items() if not each.embedding}
        embedded = await self._embedded(missing, failures)
        planned |= embedded
        planned = {item_id: each for item_id, each in planned.items() if each.embedding}
        for item_id, error in (await self._added.refusals(list(planned.values()))).items():
            is_of_teacher = item_id in embedded and isinstance(error, InvalidRequestError)
            failures[item_id] = (
                TeacherUnavailableError(f"the teacher's {error}") if is_of_teacher else error
            )
        return {item_id: each for item_id, each in planned.items() if item_id not in failures}

    async def _embedded(
        self, items: Mapping[str, AddedItem], failures: Failures
    ) -> Mapping[str, AddedItem]:
        """Returns `items` with embeddings by the teacher; adds to `failures` in place."""
        if not items:
            return {}
        try:
            embeddings = await self._embed([each.item.title for each in items.values()])
        except ServiceError as error:
            failures |= dict.fromkeys(items, error)
            return {}
        return {
            item_id: AddedItem(each.item, np.array(numbers, dtype="<f4").tobytes())
            for (item_id, each), numbers in zip(items.items(), embeddings, strict=True)
        }


def _of_different_items(changes: Sequence[ItemChange]) -> Sequence[ItemChange]:
    """Returns the first changes, up to the second one of any item."""
    item_ids = set[str]()
    for place, change in enumerate(changes):
        if change.item_id in item_ids:
            return changes[:place]
        item_ids.add(change.item_id)
    return changes
