"""Makes, lists and revokes API keys in a file; a running service reads changes within a second."""

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from service.access.keys_file import (
    KeysFile,
    KeysFileError,
    StoredKey,
    described,
    hash_of,
    read_keys,
    write_keys,
)
from service.access.principal import DEFAULT_TENANT, Limits, Scope, joined

ARGUMENTS: Mapping[str, str] = {
    "file": "File of API keys, which KEYS_FILE names.",
    "scopes": "Comma-separated list of what the key may do: read, write, teacher, admin.",
    "tenant": "Owner of the sessions that the key reads and writes; others stay out of its reach.",
    "requests_per_second": "Maximum average rate of requests; no limit by default.",
    "burst": "Maximum number of requests at once; by default as many as a second allows.",
    "requests_per_day": "Maximum number of requests in a day in UTC; no limit by default.",
    "expires_in_days": "Days until the key expires; never by default.",
    "key_id": "Id of the key: its part before the dot.",
}
"""Help text of each argument, by the argument's name.

`python -m service.access` and `distilled-recommender key` share these texts.
"""

_SECRET_BYTES = 32
_ID_BYTES = 6


@dataclass(frozen=True)
class NewKey:
    """The scopes, tenant, limits and lifetime of a key to create.

    Attributes:
        expires_in_days: days until the key expires; None: no expiry.
    """

    scopes: frozenset[Scope]
    tenant: str = DEFAULT_TENANT
    limits: Limits | None = None
    expires_in_days: float | None = None


def create_key(path: Path, new: NewKey) -> str:
    """Creates a key, adds its hash to the file at `path`, and returns the key as `ID.SECRET`.

    Raises:
        KeysFileError: the file is unusable, or a value of `new` is not allowed.
    """
    key_id = f"k{secrets.token_hex(_ID_BYTES)}"
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    with _changing(path) as keys:
        keys.append(_stored(new, key_id, secret))
    return f"{key_id}.{secret}"


def revoke_key(path: Path, key_id: str) -> None:
    """Marks the key `key_id` as revoked in the file at `path`.

    Raises:
        KeysFileError: the file is unusable or has no such key.
    """
    with _changing(path) as keys:
        places = [place for place, each in enumerate(keys) if each.id == key_id]
        if not places:
            raise KeysFileError(f"KEYS_FILE = {path} has no key {key_id!r}")
        (place,) = places
        keys[place] = keys[place].model_copy(update={"revoked": True})


def list_keys(path: Path) -> Iterator[str]:
    """Yields a line of text for each key in the file at `path`: id, tenant, scopes, limits, state.

    Raises:
        KeysFileError: the file is unusable.
    """
    for each in read_keys(path).keys:
        burst = f", burst {each.burst}" if each.burst else ""
        limits = [
            f"{each.requests_per_second:g}/s{burst}" if each.requests_per_second else "",
            f"{each.requests_per_day}/day" if each.requests_per_day else "",
        ]
        state = each.refusal(datetime.now(UTC)) or (
            f"until {each.expires_at:%Y-%m-%dT%H:%MZ}" if each.expires_at else "valid"
        )
        parts = (each.id, each.tenant, joined(each.scopes), *filter(None, limits), state)
        yield "  ".join(parts)


def _stored(new: NewKey, key_id: str, secret: str) -> StoredKey:
    salt, limits = secrets.token_hex(16), new.limits or Limits()
    expires_at = None
    if new.expires_in_days is not None:
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=new.expires_in_days)
    try:
        return StoredKey(
            id=key_id,
            salt=salt,
            sha256=hash_of(salt, secret),
            tenant=new.tenant,
            scopes=new.scopes,
            requests_per_second=limits.requests_per_second,
            burst=limits.burst,
            requests_per_day=limits.requests_per_day,
            expires_at=expires_at,
        )
    except ValidationError as error:
        raise KeysFileError(f"the new key: {described(error)}") from None


@contextmanager
def _changing(path: Path) -> Iterator[list[StoredKey]]:
    """Context manager: yields the keys of the file as a list to edit, and writes the list back.

    A lock keeps other processes from editing meanwhile. After an error, the file stays as it was.
    A missing file counts as empty.

    Raises:
        KeysFileError: the file is unusable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        keys = list(read_keys(path).keys) if path.exists() else []
        yield keys
        write_keys(path, KeysFile(keys=keys))
    finally:
        os.close(folder)
