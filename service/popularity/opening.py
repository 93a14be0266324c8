"""Opens the parts that count events and rank by them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.bundles.variants import ServedVariants
from service.popularity.popularity import Popularity
from service.settings import Settings
from service.stores.opening import open_count_store


@asynccontextmanager
async def opened_popularity(
    settings: Settings, variants: ServedVariants
) -> AsyncIterator[Popularity | None]:
    """Context manager: counts new events while it is open; yields None if none are counted."""
    store = open_count_store(settings)
    if store is None:
        yield None
        return

    def is_known(item_id: str) -> bool:
        return any(each.recommender.catalog.index(item_id) for each in variants.served)

    popularity = Popularity(store, sorted(settings.history_type_names), is_known)
    try:
        async with popularity.followed():
            yield popularity
    finally:
        await store.close()
