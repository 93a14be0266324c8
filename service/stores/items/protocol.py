"""What a store of added items promises, whichever it is; one test suite holds all to it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import orjson
from pydantic import Base64Bytes, BaseModel, ValidationError, field_validator

from export.contract.bundle import Item
from service.ranking.types import Vectors

_BYTES_OF_A_NUMBER = 4


@dataclass(frozen=True, slots=True)
class AddedItem:
    """An item that came after the export; `embedding` is float32 bytes, the LLM's view of it."""

    item: Item
    embedding: bytes

    def __hash__(self) -> int:
        """Of the id alone: attributes are a mapping, which has no hash."""
        return hash(self.item.item_id)

    @property
    def vector(self) -> Vectors:
        """The embedding, `[embedding_size]`."""
        return np.frombuffer(self.embedding, dtype="<f4")


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened since a version: items by id, None for one that was removed.

    `is_complete` says that these are all items there are.
    """

    version: str
    items: Mapping[str, AddedItem | None]
    is_complete: bool

    def applied_to(self, known: Mapping[str, AddedItem]) -> dict[str, AddedItem]:
        """The items there are, after those that were known before."""
        items = {**({} if self.is_complete else known), **self.items}
        return {item_id: added for item_id, added in items.items() if added}


class AddedItemStore(Protocol):
    """Items added at run time, seen by every process that uses the same store.

    Every method raises ItemStoreUnavailableError when the store does not answer.
    """

    async def put(self, added: AddedItem) -> None:
        """Stores an item, in the place of one with the same id; equal ones change nothing.

        Raises:
            ConflictError: the store holds as many items as it may.
        """
        ...

    async def remove(self, item_id: str) -> None:
        """Removes an item, if it is there."""
        ...

    async def changes(self, since: str) -> Changes:
        """What happened since a version; everything for the version "" and for one too old."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


def to_json(added: AddedItem) -> bytes:
    """One line of JSON."""
    content = {
        "item_id": added.item.item_id,
        "title": added.item.title,
        "attributes": added.item.attributes,
        "embedding": base64.b64encode(added.embedding).decode(),
    }
    return orjson.dumps(content)


def from_json(text: bytes | str) -> AddedItem:
    """The item that `to_json` wrote.

    Raises:
        ValueError: it did not write this.
    """
    try:
        stored = _Stored.model_validate_json(text)
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"no added item: {'; '.join(reasons)}") from None
    item = Item(stored.item_id, stored.title, attributes=stored.attributes)
    return AddedItem(item, stored.embedding)


class _Stored(BaseModel):
    """What a line holds; the embedding in base64."""

    item_id: str
    title: str
    attributes: dict[str, list[str]]
    embedding: Base64Bytes

    @field_validator("embedding")
    @classmethod
    def _holds_whole_numbers_of_bytes(cls, embedding: bytes) -> bytes:
        if len(embedding) % _BYTES_OF_A_NUMBER:
            raise ValueError(f"{len(embedding)} bytes are no float32 numbers")
        return embedding
