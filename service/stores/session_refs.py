"""Session refs and user refs: pseudonyms that are stored and logged in place of ids.

A ref is computed from the id with a secret. Without the secret, nobody can compute an id from its
ref, or the ref from its id.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from functools import lru_cache

from service.access.principal import DEFAULT_TENANT
from service.settings import Settings
from service.stores.history.protocol import Session

_VERSION = "v1."
_USER_VERSION = "u1."
_NUM_CACHED = 4_096
_LENGTH = 22  # characters of base64: 132 bits


def session_ref(secret: str, tenant: str, session_id: str) -> str:
    """Returns the session ref of a tenant's session: `v1.` and 22 characters of an HMAC-SHA256.

    The HMAC is of tenant, NUL and session id, so `tenant` must not contain NUL.
    """
    return _ref(_keyed(secret), tenant, session_id)


def user_ref(secret: str, tenant: str, user_id: str) -> str:
    """Returns the user ref of a tenant's user: `u1.` and 22 characters of an HMAC-SHA256.

    The key of the HMAC is derived from `secret`. So a user and a session with the same id do not
    have the same HMAC.
    """
    return _USER_VERSION + _ref(_keyed_for_users(secret), tenant, user_id)[len(_VERSION) :]


def _keyed_for_users(secret: str) -> hmac.HMAC:
    return _keyed(hmac.new(secret.encode(), b"user refs", "sha256").hexdigest())


def _keyed(secret: str) -> hmac.HMAC:
    return hmac.new(secret.encode(), digestmod="sha256")


def _ref(keyed: hmac.HMAC, tenant: str, session_id: str) -> str:
    named = keyed.copy()  # takes half the time of a new HMAC with this key
    named.update(f"{tenant}\0{session_id}".encode("utf-8", "surrogatepass"))
    return _VERSION + urlsafe_b64encode(named.digest()[:18])[:_LENGTH].decode("ascii")


class SessionRefs:
    """Computes session refs and user refs with the secrets in the settings.

    Without SESSION_SECRET, the secret is random. Sessions are then found in this process only.
    """

    def __init__(self, settings: Settings) -> None:
        chosen, old = settings.session_secret, settings.session_secret_old
        secret = secrets.token_hex(32) if chosen is None else chosen.get_secret_value()
        self._keyed = _keyed(secret)
        olds = [] if old is None else [old.get_secret_value()]
        self._secrets = [secret, *olds]
        self._formerly_keyed = list(map(_keyed, olds))
        self.of_user = lru_cache(_NUM_CACHED)(self._of_user)
        # Cached, since a visitor's requests follow one another within minutes.
        self.of = lru_cache(_NUM_CACHED)(self._of)
        self._reads_old_keys = settings.old_session_keys and settings.redis_url is not None

    def _of_user(self, user_id: str, tenant: str) -> tuple[str, ...]:
        """Returns the user refs of a tenant's user: the current one, then one from the old secret.

        If there is no old secret, only the current one is returned.
        """
        return tuple([user_ref(secret, tenant, user_id) for secret in self._secrets])

    def _of(self, session_id: str, tenant: str = DEFAULT_TENANT) -> Session:
        """Returns the current and the former names of a tenant's session."""
        return Session(
            _ref(self._keyed, tenant, session_id),
            tuple([_ref(each, tenant, session_id) for each in self._formerly_keyed]),
            # Releases without tenants wrote these keys.
            session_id if self._reads_old_keys and tenant == DEFAULT_TENANT else None,
        )
