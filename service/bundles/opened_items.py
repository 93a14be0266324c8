"""Opens the stores of added items and of edits at the start of a worker."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.background import in_background
from service.bundles.added_items import AddedItems
from service.bundles.item_edits import ItemEdits
from service.bundles.variants import ServedVariants
from service.errors import ItemStoreUnavailableError
from service.settings import Settings
from service.stores.items.protocol import AddedItemStore
from service.stores.opening import open_edit_store, open_item_store

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 1.0
"""Maximum time until the store of added items first answers, before the service starts without."""

_ITEMS_SECONDS = 30.0
"""Maximum time to read added items and edits of a store that answers; enough for the largest."""


@asynccontextmanager
async def opened_items(
    settings: Settings, variants: ServedVariants
) -> AsyncIterator[tuple[AddedItems, ItemEdits]]:
    """Context manager: opens the stores of added items and of edits, and follows their changes.

    If the store does not answer in time, the service starts without these items and edits.
    Background tasks then read them later.
    """
    poll_seconds = settings.items_poll_seconds
    store = open_item_store(settings)
    added_items = AddedItems(store, variants, poll_seconds)
    item_edits = ItemEdits(open_edit_store(settings), variants, poll_seconds)
    try:
        await _read_first(store, added_items, item_edits)
        async with in_background(added_items.follow()), in_background(item_edits.follow()):
            yield added_items, item_edits
    finally:
        await added_items.close()
        await item_edits.close()


async def _read_first(
    store: AddedItemStore, added_items: AddedItems, item_edits: ItemEdits
) -> None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await store.reach()
        async with asyncio.timeout(_ITEMS_SECONDS):
            await added_items.refresh()
            await item_edits.refresh()
    except ItemStoreUnavailableError as error:
        logger.warning("starting without the added items: %s", error.in_full)
    except TimeoutError:
        logger.warning(
            "starting without the added items: their store did not answer within %g s, or they "
            "could not be read within %g s; they are read in the background",
            _ANSWER_SECONDS,
            _ITEMS_SECONDS,
        )
