"""The items that were added to, hidden in or changed in a running service, as they were once."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import orjson
from pydantic import SecretStr, ValidationError

from distilled_recommender.recommend.parts import replace_file
from service.errors import ItemStoreUnavailableError
from service.settings import Settings
from service.stores.items.edits import ItemEdit
from service.stores.items.protocol import AddedItem
from service.stores.opening import open_edit_store, open_item_store
from training.errors import ConfigError

_SECRET_BYTES = 32


@dataclass(frozen=True)
class LiveItems:
    """Added items and edits of items, both by item id."""

    added: Mapping[str, AddedItem] = field(default_factory=dict)
    edits: Mapping[str, ItemEdit] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Encodes the items; the same items give the same bytes."""
        content = {
            name: [orjson.Fragment(records[each].to_json()) for each in sorted(records)]
            for name, records in (("added", self.added), ("edits", self.edits))
        }
        return orjson.dumps(content)

    @classmethod
    def from_json(cls, text: bytes) -> "LiveItems":
        """Decodes what `to_json` has encoded."""
        content = orjson.loads(text)
        added = [AddedItem.from_json(orjson.dumps(each)) for each in content["added"]]
        edits = [ItemEdit.from_json(orjson.dumps(each)) for each in content["edits"]]
        return cls({each.item_id: each for each in added}, {each.item_id: each for each in edits})

    @property
    def fingerprint(self) -> str:
        """Hash of the items; "" if there are none."""
        if not (self.added or self.edits):
            return ""
        return hashlib.sha256(self.to_json()).hexdigest()


NO_LIVE_ITEMS = LiveItems()


def kept_or_present(path: Path) -> LiveItems:
    """Returns the live items that the file `path` keeps, or those of the store if it is missing.

    So a run that goes on has the items that it began with.

    Raises:
        ConfigError: the file is damaged, the store does not answer, or a setting of the service is
            wrong.
    """
    if not path.exists():
        return asyncio.run(_read())
    try:
        return LiveItems.from_json(path.read_bytes())
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: damaged ({error}); remove its folder to begin anew") from None


def keep(items: LiveItems, path: Path) -> None:
    """Writes live items to the file `path`, if it is missing."""
    if not path.exists():
        replace_file(path, lambda unfinished: unfinished.write_bytes(items.to_json()))


async def _read() -> LiveItems:
    """Reads all items from the stores that the settings of the service name."""
    try:
        # No session is read, so the secret of the service is not needed.
        settings = Settings(session_secret=SecretStr(token_hex(_SECRET_BYTES)))
    except ValidationError as error:
        found = "; ".join(each["msg"] for each in error.errors())
        raise ConfigError(f"--live-items: the service's settings are wrong: {found}") from None
    added_store, edit_store = open_item_store(settings), open_edit_store(settings)
    try:
        added, edits = await added_store.changes(""), await edit_store.changes("")
    except ItemStoreUnavailableError as error:
        raise ConfigError(f"--live-items: {error}") from None
    finally:
        await added_store.close()
        await edit_store.close()
    return LiveItems(added.applied_to({}), edits.applied_to({}))
