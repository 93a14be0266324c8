"""Finds the principal of a request by its `Authorization` header: `Bearer ID.SECRET`.

The keys are the ADMIN_KEY and those of KEYS_FILE, which is read again when it changes. Headers
with a valid key are cached in a dictionary until the file changes. Python's hashes of bytes have a
random seed, so the time of a look-up reveals nothing about the cached headers.
"""

import asyncio
import hmac
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import time

from service.access.keys_file import (
    ADMIN_KEY_ID,
    MAX_KEYS,
    KeysFileError,
    StoredKey,
    read_keys,
    signature,
)
from service.access.principal import DEFAULT_TENANT, Principal, Scope
from service.errors import UnauthorizedError

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Interval in seconds at which a worker checks whether the file of keys has changed."""

_MAX_TOKEN_BYTES = 512
# Compared in place of an unknown key, so that an unknown id and a wrong secret take the same time.
_NO_KEY = StoredKey(
    id="none", salt="00" * 16, sha256="0" * 64, tenant="none", scopes=frozenset(Scope)
)


class Authentication:
    """Authenticates requests by the keys of KEYS_FILE and by the ADMIN_KEY.

    Attributes:
        has_keys: whether KEYS_FILE or ADMIN_KEY is set.
        is_file_refused: whether the file of keys has changed and its new content is unusable. In
            this state, the keys that were read last stay valid.
    """

    def __init__(
        self, keys_path: Path | None, admin_key: str | None, for_all: frozenset[Scope]
    ) -> None:
        """Makes an Authentication that knows only the admin key; `load` adds the keys of the file.

        Args:
            keys_path: the file of keys; None: there is none.
            admin_key: a key with scope admin; None: there is none.
            for_all: scopes that every request has, with or without a key.
        """
        self.has_keys = keys_path is not None or admin_key is not None
        self.is_file_refused = False
        self._path = keys_path
        self._for_all = for_all
        self._anonymous = Principal("", DEFAULT_TENANT, for_all)
        self._admin = Principal(ADMIN_KEY_ID, DEFAULT_TENANT, for_all | {Scope.ADMIN})
        self._admin_key = admin_key.encode() if admin_key else None
        self._keys: Mapping[str, StoredKey] = {}
        self._verified: dict[bytes, Principal] = {}
        self._signature: tuple[int, ...] = ()

    def principal(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """Returns the principal of a request by its headers.

        Without a key, the principal has an empty key id and the scopes that every request has.

        Raises:
            UnauthorizedError: `Authorization` has a key that is unknown, revoked or expired.
        """
        if self.has_keys:
            for name, value in headers:
                if name == b"authorization":
                    return self._principal_of(value)
        return self._anonymous

    def key_id(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Returns the key id of a request by its headers; an empty string without a valid key."""
        try:
            return self.principal(headers).key_id
        except UnauthorizedError:
            return ""

    def load(self) -> None:
        """Reads the file of keys, if there is one; raises KeysFileError if it is unusable."""
        if self._path is None:
            return
        # Taken before reading, so that the next poll sees a change made while the file is read.
        self._signature = signature(self._path)
        self._keys = {each.id: each for each in read_keys(self._path).keys}
        self._verified = {}
        self.is_file_refused = False

    async def follow(self) -> None:
        """Reads the file of keys again whenever it changes, until cancelled.

        If the new content is unusable, the keys that were read last stay valid.
        """
        while self._path is not None:
            await asyncio.sleep(POLL_SECONDS)
            await asyncio.to_thread(self._load_if_changed, self._path)

    def _load_if_changed(self, path: Path) -> None:
        # A refused file is read at each check: mending its permissions does not change `signature`.
        if signature(path) == self._signature and not self.is_file_refused:
            return
        try:
            self.load()
        except KeysFileError as error:
            if not self.is_file_refused:
                logger.error("the keys stay as they were: %s", error)  # noqa: TRY400 - no traceback
            self.is_file_refused = True
        else:
            logger.info("read %d keys from KEYS_FILE", len(self._keys))

    def _principal_of(self, header: bytes) -> Principal:
        verified = self._verified
        principal = verified.get(header)
        if principal is None:
            principal = self._verify(header)
            if principal.key_id:
                if len(verified) >= 2 * MAX_KEYS:
                    verified.clear()
                verified[header] = principal
        elif principal.expires_at <= time():
            raise UnauthorizedError("the key in `Authorization` is expired")
        return principal

    def _verify(self, header: bytes) -> Principal:
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer":
            return self._anonymous
        token = token.strip()
        if len(token) > _MAX_TOKEN_BYTES:
            raise UnauthorizedError("the key in `Authorization` is unknown")
        is_admin = self._admin_key is not None and _is_equal(token, self._admin_key)
        key_id, _, secret = token.decode("latin-1").partition(".")
        key = self._keys.get(key_id)
        is_secret = (key or _NO_KEY).is_secret(secret)
        if is_admin:
            return self._admin
        if key is None or not is_secret:
            raise UnauthorizedError("the key in `Authorization` is unknown")
        if refusal := key.refusal(datetime.now(UTC)):
            raise UnauthorizedError(f"the key in `Authorization` is {refusal}")
        return key.principal(self._for_all)


def _is_equal(one: bytes, other: bytes) -> bool:
    """Returns whether two byte strings are equal, in a time that does not depend on `other`."""
    return hmac.compare_digest(sha256(one).digest(), sha256(other).digest())
