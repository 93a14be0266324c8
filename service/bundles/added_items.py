"""Added items from the store into every model that is served, and back when they are removed."""

import asyncio
import logging

import numpy as np

from service.bundles.variants import ServedVariants
from service.errors import ConflictError, InvalidRequestError, ItemStoreUnavailableError
from service.ranking.recommender import Recommender
from service.stores.items.protocol import AddedItem, AddedItemStore

logger = logging.getLogger(__name__)

_MOST_LENGTHS = 3


class AddedItems:
    """Keeps the models up to date with a store that other processes write too."""

    def __init__(self, store: AddedItemStore, models: ServedVariants, poll_seconds: float) -> None:
        self._store = store
        self._models = models
        self._poll_seconds = poll_seconds
        self._items: dict[str, AddedItem] = {}
        self._version = ""
        self._refreshing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._items)

    async def add(self, added: AddedItem) -> list[str]:
        """Stores an item; returns the variants that recommend it from now on.

        Raises:
            InvalidRequestError: the embedding cannot be read.
            ConflictError: no model can learn it, or the store is full.
            ItemStoreUnavailableError: it is not stored.
        """
        variants = self._learners(added)
        await self._store.put(added)
        await self.refresh()
        return variants

    async def remove(self, item_id: str) -> None:
        """Removes an added item, if there is one.

        Raises:
            ConflictError: it is one of the bundle's own.
            ItemStoreUnavailableError: it may still be stored.
        """
        catalogs = [each.recommender.catalog for each in self._models.served]
        # A later bundle may hold an added item, which the store need not.
        if item_id not in self._items and all(each.is_of_bundle(item_id) for each in catalogs):
            raise ConflictError(f"item {item_id!r} is one of the bundle's own")
        await self._store.remove(item_id)
        await self.refresh()

    async def refresh(self) -> None:
        """Learns what changed in the store.

        Raises:
            ItemStoreUnavailableError: that cannot be known now.
        """
        async with self._refreshing:
            changes = await self._store.changes(self._version)
            if changes.items or changes.is_complete:
                items = changes.applied_to(self._items)
                await self._models.set_added(list(items.values()))
                self._items = items
            self._version = changes.version

    async def follow(self) -> None:
        """Refreshes until cancelled."""
        is_lost = False
        while True:
            try:
                await self.refresh()
                is_lost = False
            except ItemStoreUnavailableError as error:
                if not is_lost:
                    logger.warning(
                        "added items cannot be read, the known ones stay: %s", error.in_full
                    )
                is_lost = True
            except Exception:
                logger.exception("added items cannot be read, the known ones stay")
            await asyncio.sleep(self._poll_seconds)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._store.close()

    def _learners(self, added: AddedItem) -> list[str]:
        item_id, served = added.item.item_id, self._models.served
        learners = [each for each in served if each.recommender.can_learn(added)]
        sizes = {each.recommender.student.embedding_size for each in served} - {None}
        if not sizes:
            raise ConflictError(
                "this model cannot read embeddings: it was trained without those of an LLM"
            )
        if all(each.recommender.catalog.is_of_bundle(item_id) for each in served):
            raise ConflictError(f"item {item_id!r} is one of the bundle's own")
        if not learners:
            due = " or ".join(map(str, sorted(sizes, key=str)))
            raise InvalidRequestError("embedding", f"holds {len(added.vector)} numbers, not {due}")
        for each in learners:
            _check_length(each.recommender, added)
        return [each.variant for each in learners]


def _check_length(recommender: Recommender, added: AddedItem) -> None:
    """Raises InvalidRequestError where the item would outdo all others by its length alone."""
    vector = recommender.student.encode(added.vector[None])[0]
    length = float(np.linalg.norm(vector.astype(np.float64)))
    longest = recommender.vectors.longest_of_bundle
    if not length <= _MOST_LENGTHS * longest:  # NaN is no length either
        raise InvalidRequestError(
            "embedding",
            f"makes a vector of length {length:.3g}, the bundle's longest has {longest:.3g}: "
            "it is not of the LLM that the bundle learnt from",
        )
