"""Added items for tests of their stores."""

import numpy as np

from export.contract.bundle import Item
from service.stores.items.protocol import AddedItem, AddedItemStore

MAX_ITEMS = 3


def item(item_id: str, title: str = "New\u2028one\n", value: float = 0.1) -> AddedItem:
    embedding = np.array([value, -2], dtype="<f4").tobytes()
    return AddedItem(Item(item_id, title, attributes={"genres": ["Drama", "ö"]}), embedding)


async def everything(store: AddedItemStore) -> dict[str, AddedItem]:
    return (await store.changes("")).applied_to({})
