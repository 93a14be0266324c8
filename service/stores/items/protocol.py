"""The AddedItemStore protocol.

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
    """An added item with the LLM's embedding of its title, as bytes of little-endian float32."""

    item: Item
    embedding: bytes

    def __hash__(self) -> int:
        """Hashes the id only, because the attributes are a mapping, which has no hash."""
        return hash(self.item.item_id)

    @property
    def vector(self) -> NDArray[np.float32]:
        """The embedding as an array `[embedding_size]`."""
        return np.frombuffer(self.embedding, dtype="<f4")


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a store since a version.

    Attributes:
        version: the version of the store after the changes.
        items: the changed items by id; None: the item was removed.
        is_complete: whether `items` has all items of the store, not only the changed ones.
    """

    version: str
    items: Mapping[str, AddedItem | None]
    is_complete: bool

    def applied_to(self, known: Mapping[str, AddedItem]) -> dict[str, AddedItem]:
        """Returns all items of the store by id; `known` are those before the changes."""
        items = {**({} if self.is_complete else known), **self.items}
        return {item_id: added for item_id, added in items.items() if added}


class AddedItemStore(Protocol):
    """Stores the added items, for all processes that use the same store.

    Every method but `close` raises ItemStoreUnavailableError when the store does not answer.
    """

    async def put(self, added: AddedItem) -> None:
        """Stores an item; replaces a stored one with the same id.

        Raises:
            ConflictError: the store is full.
        """
        ...

    async def remove(self, item_id: str) -> None:
        """Removes an item, if it is stored."""
        ...

    async def changes(self, since: str) -> Changes:
        """Returns the changes since a version of the store.

        Returns all items if `since` is "", or a version whose later changes are no longer known.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


def store_is_full(max_items: int) -> ConflictError:
    """Makes the error of a store that has `max_items` items already."""
    return ConflictError(
        f"{max_items} items are added already, which is the maximum: remove one first"
    )


def to_json(added: AddedItem) -> bytes:
    """Encodes an item as one line of JSON, the embedding in base64."""
    content = {
        "item_id": added.item.item_id,
        "title": added.item.title,
        "attributes": added.item.attributes,
        "embedding": base64.b64encode(added.embedding).decode(),
    }
    return orjson.dumps(content)


def from_json(text: bytes | str) -> AddedItem:
    """Decodes an item that `to_json` encoded.

    Raises:
        ValueError: `text` is not such an item; the message names the wrong fields.
    """
    try:
        stored = _Stored.model_validate_json(text)
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"not an added item: {'; '.join(reasons)}") from None
    item = Item(stored.item_id, stored.title, attributes=stored.attributes)
    return AddedItem(item, stored.embedding)


class _Stored(BaseModel):
    """An added item in JSON, with the embedding in base64."""

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
