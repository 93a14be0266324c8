"""The ItemStore protocol: what every store of added items, or of edits of items, must do.

tests/service/stores/items/test_stores.py runs one suite against every implementation.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import Base64Bytes, BaseModel, ValidationError, field_validator

from export.contract.bundle import Item
from service.errors import ConflictError

_FLOAT32_BYTES = 4


class Record(Protocol):
    """Protocol of a record in an item store, which has at most one record per item id.

    Attributes:
        STATE: adjective for the items that have such a record, such as `added`; used in messages.
    """

    STATE: ClassVar[str]

    @property
    def item_id(self) -> str:
        """Id of the item that the record belongs to."""
        ...

    def to_json(self) -> bytes:
        """Encodes the record as one line of JSON."""
        ...

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Decodes a record that `to_json` has encoded.

        Raises:
            ValueError: `text` is not a valid record; the message names the wrong fields.
        """
        ...


R = TypeVar("R", bound=Record)

Change = Callable[[R | None], R | None]
"""Makes a record from the stored one; None stands for no record, before and after."""


@dataclass(frozen=True, slots=True)
class AddedItem:
    """An added item and the LLM's embedding of its title, as bytes of little-endian float32."""

    STATE: ClassVar[str] = "added"

    item: Item
    embedding: bytes

    def __hash__(self) -> int:
        """Returns the hash of the item id; `item` itself contains a mapping, which has no hash."""
        return hash(self.item.item_id)

    @property
    def item_id(self) -> str:
        """Id of the item."""
        return self.item.item_id

    @property
    def vector(self) -> NDArray[np.float32]:
        """The embedding as a float32 array, `[embedding_size]`."""
        return np.frombuffer(self.embedding, dtype="<f4")

    def to_json(self) -> bytes:
        """Implements `Record.to_json`; the embedding is in base64."""
        content = {
            "item_id": self.item.item_id,
            "title": self.item.title,
            "attributes": self.item.attributes,
            "embedding": base64.b64encode(self.embedding).decode(),
        }
        return orjson.dumps(content)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Implements `Record.from_json`."""
        stored = decoded(_Stored, text, "an added item")
        item = Item(stored.item_id, stored.title, attributes=stored.attributes)
        return cls(item, stored.embedding)


@dataclass(frozen=True, slots=True)
class Changes(Generic[R]):
    """The changes to a store since an earlier version.

    Attributes:
        version: the version of the store after the changes.
        items: the changed records by item id; None stands for a record that was removed.
        is_complete: whether `items` has all records of the store, not only the changed ones.
    """

    version: str
    items: Mapping[str, R | None]
    is_complete: bool

    def applied_to(self, known: Mapping[str, R]) -> dict[str, R]:
        """Returns all records of the store after the changes, by item id.

        `known`: the records of the store before the changes, by item id.
        """
        records = {} if self.is_complete else dict(known)
        change(records, self.items)
        return records


class ItemStore(Protocol[R]):
    """Protocol of a store of items' records, shared by all processes that open it.

    Every method except `close` raises ItemStoreUnavailableError if the store does not answer.
    """

    async def put(self, record: R) -> None:
        """Stores a record; replaces a stored record with the same item id.

        Raises:
            ConflictError: the store has its maximum number of records, and none has this id.
        """
        ...

    async def remove(self, item_id: str) -> None:
        """Removes the record with this item id; does nothing if there is none."""
        ...

    async def update(self, item_id: str, change: Change[R]) -> None:
        """Replaces the stored record of an item with the result of `change`.

        The update is atomic. `change` is called again if another process changes the record at the
        same time.

        Args:
            item_id: id of the item.
            change: takes the stored record and returns the new one; None stands for no record.

        Raises:
            ConflictError: the store has its maximum number of records, and none has this id.
        """
        ...

    async def update_many(self, changes: Mapping[str, Change[R]]) -> Mapping[str, ConflictError]:
        """Replaces the stored records of several items, each with the result of its change.

        The update of each record is atomic, as in `update`; that of all together is not.

        Args:
            changes: for each item id a function that takes the stored record and returns the new
                one; None stands for no record.

        Returns:
            The errors by item id: the store has its maximum number of records, and none of this
            item. Nothing is changed for these items.
        """
        ...

    async def reach(self) -> None:
        """Waits until the store has answered a question that costs nothing."""
        ...

    async def changes(self, since: str) -> Changes[R]:
        """Returns the changes since the version `since` of the store.

        If `since` is "", or so old that the store no longer knows the changes, the result has all
        records and is marked as complete.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


def change(records: dict[str, R], changes: Mapping[str, R | None]) -> None:
    """Changes `records`, by item id, in place; None removes a record, if there is one."""
    for item_id, record in changes.items():
        if record is None:
            records.pop(item_id, None)
        else:
            records[item_id] = record


AddedItemStore = ItemStore[AddedItem]
"""A store of added items."""


def store_is_full(max_items: int, kind: type[Record]) -> ConflictError:
    """Makes the error for adding a record to a store that already has `max_items` records.

    `kind`: class of the record.
    """
    return ConflictError(
        f"{max_items} items are {kind.STATE} already, which is the maximum: remove one first"
    )


M = TypeVar("M", bound=BaseModel)


def decoded(model: type[M], text: bytes | str, name: str) -> M:
    """Decodes one line of JSON and validates it against `model`.

    `name`: name of the expected content in the error message, for example "an added item".

    Raises:
        ValueError: `text` is not valid; the message names the wrong fields.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"not {name}: {'; '.join(reasons)}") from None


class _Stored(BaseModel):
    """Pydantic model of an added item in JSON, which validates stored items.

    The embedding is in base64.
    """

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
