"""The AddedItemStore protocol: what every store of added items must do.

tests/service/stores/items/test_stores.py runs one suite against every implementation.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import Base64Bytes, BaseModel, ValidationError, field_validator

from export.contract.bundle import Item
from service.errors import ConflictError

_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class AddedItem:
    """An added item and the LLM's embedding of its title, as bytes of little-endian float32."""

    item: Item
    embedding: bytes

    def __hash__(self) -> int:
        """Returns the hash of the item id; the other fields hold a mapping, which has no hash."""
        return hash(self.item.item_id)

    @property
    def vector(self) -> NDArray[np.float32]:
        """The embedding as a float32 array, `[embedding_size]`."""
        return np.frombuffer(self.embedding, dtype="<f4")


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a store of added items since an earlier version of it.

    Attributes:
        version: the version of the store after the changes.
        items: the changed items by item id; None stands for an item that was removed.
        is_complete: whether `items` has all items of the store, and not only the changed ones.
    """

    version: str
    items: Mapping[str, AddedItem | None]
    is_complete: bool

    def applied_to(self, known: Mapping[str, AddedItem]) -> dict[str, AddedItem]:
        """Returns all items of the store after the changes, by item id.

        `known` has the items of the store before the changes.
        """
        items = {**({} if self.is_complete else known), **self.items}
        return {item_id: added for item_id, added in items.items() if added}


class AddedItemStore(Protocol):
    """Stores the added items, for all processes that open the same store.

    Every method except `close` raises ItemStoreUnavailableError if the store does not answer.
    """

    async def put(self, added: AddedItem) -> None:
        """Stores an item, in place of a stored item with the same id.

        Raises:
            ConflictError: the store has its maximum number of items, and none has this id.
        """
        ...

    async def remove(self, item_id: str) -> None:
        """Removes the item with this id; does nothing if it is not stored."""
        ...

    async def changes(self, since: str) -> Changes:
        """Returns the changes since the version `since` of the store.

        If `since` is "", or so old that the store no longer knows the changes, the result has all
        items and is marked as complete.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


def store_is_full(max_items: int) -> ConflictError:
    """Makes the error for a new item where `max_items` items are stored already."""
    return ConflictError(
        f"{max_items} items are added already, which is the maximum: remove one first"
    )


def to_json(added: AddedItem) -> bytes:
    """Encodes an added item as one line of JSON, with the embedding in base64."""
    content = {
        "item_id": added.item.item_id,
        "title": added.item.title,
        "attributes": added.item.attributes,
        "embedding": base64.b64encode(added.embedding).decode(),
    }
    return orjson.dumps(content)


def from_json(text: bytes | str) -> AddedItem:
    """Decodes an added item that `to_json` has encoded.

    Raises:
        ValueError: `text` is not an added item in this form; the message names the wrong fields.
    """
    try:
        stored = _Stored.model_validate_json(text)
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"not an added item: {'; '.join(reasons)}") from None
    item = Item(stored.item_id, stored.title, attributes=stored.attributes)
    return AddedItem(item, stored.embedding)


class _Stored(BaseModel):
    """The form of an added item in JSON, with the embedding in base64; checks what is decoded."""

    item_id: str
    title: str
    attributes: dict[str, list[str]]
    embedding: Base64Bytes

    @field_validator("embedding")
    @classmethod
    def _holds_whole_numbers(cls, embedding: bytes) -> bytes:
        if len(embedding) % _FLOAT32_BYTES:
            raise ValueError(f"{len(embedding)} bytes are not a whole number of float32 values")
        return embedding
