"""Reads and writes the file of API keys (KEYS_FILE), and defines its format and its limits.

A secret has 32 random bytes. It cannot be guessed, so one fast hash is enough. The file holds only
salted hashes of the secrets, so nobody who reads it can call the service.
"""

import hmac
import os
import stat
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from export.contract.folders import whole_file
from service.access.principal import Limits, Principal, Scope

MAX_FILE_BYTES = 1 << 20
MAX_KEYS = 2000
ADMIN_KEY_ID = "ADMIN_KEY"
"""Key id of the setting ADMIN_KEY; no key of the file may have this id."""

_MAX_ERRORS = 5
_ID = r"^[A-Za-z0-9_-]{1,64}$"
_TENANT = r"^[A-Za-z0-9_.-]{1,64}$"

Scopes = Annotated[
    frozenset[Scope], PlainSerializer(lambda scopes: [each for each in Scope if each in scopes])
]


class KeysFileError(Exception):
    """A file of API keys that is missing, unreadable or invalid; or a key that it cannot hold.

    The message names the file or the new key, and what is wrong.
    """


class StoredKey(BaseModel):
    """One key of the file, with a hash of its secret; see `docs/operations.md`.

    Attributes:
        id: public part of the key, which logs and metrics show.
        salt: at least 16 random bytes, in hexadecimal.
        sha256: hash of salt and secret in hexadecimal, see `hash_of`.
        tenant: owner of the sessions that the key may use.
        scopes: what the key may do.
        requests_per_second: allowed average rate; null: no limit.
        burst: number of requests that may come at once; null: as many as a second allows.
        requests_per_day: allowed number of requests in a day in UTC; null: no limit.
        expires_at: time with an offset from UTC, such as `2027-01-31T00:00:00Z`; null: never.
        revoked: whether the key is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str = Field(pattern=_ID)
    salt: str = Field(pattern=r"^([0-9a-f]{2}){16,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str = Field(pattern=_TENANT)
    scopes: Scopes = Field(min_length=1)
    requests_per_second: float | None = Field(default=None, gt=0, le=1e6)
    burst: int | None = Field(default=None, ge=1, le=10**6, strict=True)
    requests_per_day: int | None = Field(default=None, ge=1, le=10**12, strict=True)
    expires_at: AwareDatetime | None = None
    revoked: bool = Field(default=False, strict=True)

    def is_secret(self, secret: str) -> bool:
        """Returns whether the stored hash is that of `secret`.

        The time of the comparison does not depend on `secret`.
        """
        return hmac.compare_digest(hash_of(self.salt, secret), self.sha256)

    def refusal(self, now: datetime) -> str | None:
        """Returns `revoked` or `expired` if the key is refused at the time `now`, else None."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else None

    def principal(self, for_all: frozenset[Scope]) -> Principal:
        """Makes the principal of requests with this key.

        `for_all`: scopes that every request has.
        """
        rate = self.requests_per_second
        limits = None
        if rate or self.requests_per_day:
            limits = Limits(rate, self.burst, self.requests_per_day)
        expires_at = self.expires_at.timestamp() if self.expires_at else float("inf")
        return Principal(self.id, self.tenant, self.scopes | for_all, limits, expires_at)


class KeysFile(BaseModel):
    """The content of the file of keys: the version of the format, and keys with distinct ids."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(default=1, alias="schema")
    keys: Sequence[StoredKey] = Field(default=(), max_length=MAX_KEYS)

    @model_validator(mode="after")
    def _check_ids(self) -> Self:
        seen = {ADMIN_KEY_ID}
        for place, each in enumerate(self.keys):
            if each.id in seen:
                raise ValueError(
                    f"keys[{place}].id: {each.id!r} is taken; each key needs an id of its own"
                )
            seen.add(each.id)
        return self


def hash_of(salt: str, secret: str) -> str:
    """Returns the SHA-256 hash, in hexadecimal, of the salt's bytes and the secret's UTF-8 bytes.

    `salt`: bytes in hexadecimal.
    """
    return sha256(bytes.fromhex(salt) + secret.encode()).hexdigest()


def read_keys(path: Path) -> KeysFile:
    """Reads and validates the file of keys at `path`; raises KeysFileError if it is unusable."""
    try:
        return KeysFile.model_validate_json(_content(path))
    except OSError as error:
        raise KeysFileError(f"KEYS_FILE = {path}: {error.strerror}") from None
    except ValidationError as error:
        raise KeysFileError(f"KEYS_FILE = {path}: {described(error)}") from None


def write_keys(path: Path, content: KeysFile) -> None:
    """Writes `content` to `path` atomically: a reader finds the old content or the new one."""
    with whole_file(path) as file:
        file.write(content.model_dump_json(by_alias=True, indent=2).encode() + b"\n")


def signature(path: Path) -> tuple[int, ...]:
    """Returns numbers that change when the file at `path` changes; empty if there is no file.

    These are the file's device, inode, size and modification time.
    """
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _content(path: Path) -> bytes:
    # Links are followed, because Kubernetes mounts secrets as links and replaces them.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise KeysFileError(f"KEYS_FILE = {path} is not a regular file")
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise KeysFileError(f"KEYS_FILE = {path} has more than {MAX_FILE_BYTES} bytes")
    return content


def described(error: ValidationError) -> str:
    """Formats validation errors in one line: up to `_MAX_ERRORS` errors and the number of others.

    Each error has its place in the file and its reason, but not the value, which can be a secret.
    """
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    messages = [each["msg"].removeprefix("Value error, ") for each in errors]
    places = [_place(each["loc"]) for each in errors]
    lines = [": ".join(filter(None, each)) for each in zip(places, messages, strict=True)]
    more = f"; and {len(lines) - _MAX_ERRORS} more" if len(lines) > _MAX_ERRORS else ""
    return "; ".join(lines[:_MAX_ERRORS]) + more


def _place(location: tuple[int | str, ...]) -> str:
    parts = (f".{part}" if isinstance(part, str) else f"[{part}]" for part in location)
    return "".join(parts).removeprefix(".")
