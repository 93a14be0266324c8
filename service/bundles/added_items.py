"""Keeps the added items of every served variant equal to those in the item store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from anyio import to_thread

from service.bundles.followed_store import FollowedStore
from service.bundles.variants import ServedVariant, ServedVariants
from service.errors import ConflictError, InvalidRequestError, ServiceError
from service.ranking.recommender import Recommender
from service.stores.items.protocol import AddedItem, AddedItemStore

_MAX_NORM_RATIO = 3
"""Maximum norm of an added item's vector, relative to the largest norm of the bundle's vectors.

A longer vector would rank its item above all others by its length, whatever its direction.
"""


class AddedItems:
    """The added items that the variants recommend, read from a store that other processes share."""

    def __init__(
        self, store: AddedItemStore, variants: ServedVariants, poll_seconds: float
    ) -> None:
        self._variants = variants
        self._followed = FollowedStore(store, variants.change_added, poll_seconds, "added items")

    def __len__(self) -> int:
        return len(self._followed.items)

    async def add(self, added: AddedItem) -> list[str]:
        """Stores an item; returns the names of the variants that recommend it from now on.

        Raises:
            InvalidRequestError: the embedding has the wrong size, or its item vector is too long.
            ConflictError: no variant can add the item, or the store is full.
            ItemStoreUnavailableError: the store does not answer.
        """
        extendable = self._extendable_by(added)
        await self._followed.store.put(added)
        await self.refresh()
        return [each.name for each in extendable]

    async def remove(self, item_id: str) -> None:
        """Removes an added item, if there is one.

        Raises:
            ConflictError: the item belongs to the bundle.
            ItemStoreUnavailableError: the store does not answer; the item may still be stored.
        """
        # An item of a bundle is still removed from the store if it was added to an earlier bundle.
        for error in (await self.remove_many([item_id])).values():
            raise error
        await self.refresh()

    def get(self, item_id: str) -> AddedItem | None:
        """Returns an added item as this worker knows it; None if there is none with this id."""
        return self._followed.items.get(item_id)

    def bundles_with(self, item_id: str) -> Sequence[bool]:
        """Returns for each variant whether its bundle has the item."""
        served = self._variants.served
        return [each.recommender.catalog.is_in_bundle(item_id) for each in served]

    async def refusals(self, items: Sequence[AddedItem]) -> dict[str, ServiceError]:
        """Returns by item id why items cannot be added, as `add` would raise it.

        Runs the item encoder for each item, in a thread.
        """
        return await to_thread.run_sync(lambda: dict(self._refusals(items))) if items else {}

    async def put_many(self, items: Mapping[str, AddedItem]) -> Mapping[str, ConflictError]:
        """Puts items that `refusals` does not refuse into the store; `refresh` then adds them.

        Returns:
            The errors by item id: the store is full.

        Raises:
            ItemStoreUnavailableError: the store does not answer; it may have some of the items.
        """
        changes = {item_id: partial(_always, each) for item_id, each in items.items()}
        return await self._followed.store.update_many(changes)

    async def remove_many(self, item_ids: Iterable[str]) -> dict[str, ServiceError]:
        """Removes added items from the store; `refresh` then removes them here.

        Returns:
            The errors by item id: the item belongs to the bundle.

        Raises:
            ItemStoreUnavailableError: the store does not answer; some may be stored still.
        """
        refused = {
            item_id: _item_in_bundle(item_id)
            for item_id in item_ids
            if item_id not in self._followed.items and all(self.bundles_with(item_id))
        }
        removed = [item_id for item_id in item_ids if item_id not in refused]
        await self._followed.store.update_many(dict.fromkeys(removed, lambda _: None))
        return dict(refused)

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

    def _refusals(self, items: Iterable[AddedItem]) -> Iterator[tuple[str, ServiceError]]:
        for each in items:
            try:
                self._extendable_by(each)
            except ServiceError as error:
                yield each.item_id, error

    def _extendable_by(self, added: AddedItem) -> list[ServedVariant]:
        """Returns the variants that can add the item, at least one.

        Raises:
            InvalidRequestError: the embedding has the wrong size, or its item vector is too long.
            ConflictError: no variant can add the item.
        """
        item_id, served = added.item.item_id, self._variants.served
        sizes = {each.recommender.student.embedding_size for each in served} - {None}
        if not sizes:
            raise ConflictError(
                "this model cannot read embeddings: its student was trained without those of an LLM"
            )
        if all(self.bundles_with(item_id)):
            raise _item_in_bundle(item_id)
        extendable = [each for each in served if each.recommender.can_add(added)]
        if not extendable:
            expected = " or ".join(map(str, sorted(sizes, key=str)))
            raise InvalidRequestError(
                "embedding", f"holds {len(added.vector)} numbers, not {expected}"
            )
        for each in extendable:
            _check_norm(each.recommender, added)
        return extendable


def _always(record: AddedItem, _: AddedItem | None) -> AddedItem:
    return record


def _item_in_bundle(item_id: str) -> ConflictError:
    return ConflictError(
        f"item {item_id!r} belongs to the bundle: it cannot be replaced or removed"
    )


def _check_norm(recommender: Recommender, added: AddedItem) -> None:
    """Raises InvalidRequestError if an added item's vector is too long.

    It may be `_MAX_NORM_RATIO` times as long as the longest vector of the bundle's items.
    """
    vector = recommender.student.encode(added.vector[None])[0]
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    max_norm = recommender.vectors.max_norm_in_bundle
    if not norm <= _MAX_NORM_RATIO * max_norm:  # true for NaN too
        raise InvalidRequestError(
            "embedding",
            f"makes an item vector of length {norm:.3g}, which may be at most "
            f"{_MAX_NORM_RATIO * max_norm:.3g}: "
            "send an embedding by the LLM that the bundle was trained with",
        )
