"""Slows down the clients of an API key that send on after refusals, in favour of other keys.

A refusal is cheap, but ten thousand a second take a core. So refusals of a key beyond a rate pause
the connections on which they are sent. The clients' further requests then wait unread in the
buffers of the sockets. `Retry-After` is at least a second and a pause at most one, so a client that
waits for it notices nothing. A key that is alone is not slowed down, since nobody would gain.
"""

from service.access.authentication import Authentication
from service.errors import UnauthorizedError
from service.http.connections import Headers

_PER_SECOND = 200
"""Maximum rate of a key's refusals from which no connection is paused."""

_BURST = 50
"""Number of refusals of a key that may come at once before a connection is paused."""

_MAX_PAUSE_SECONDS = 1.0

_ACTIVE_SECONDS = 1.0
"""Seconds after its last request for which a key counts as one that others can harm."""

_SHARED_SECONDS = 600.0
"""Seconds for which an address counts as a proxy after two keys have shared a connection."""

_MAX_ADDRESSES = 4096


class RefusalPace:
    """Computes for how long a connection is not read after a refusal, by the key of the request.

    Source: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371).

    A proxy sends requests of several clients over one connection, and a pause would delay all of
    them. So no connection of an address is paused after two keys have shared one.
    """

    def __init__(self, authentication: Authentication) -> None:
        """Makes a pace without refusals so far; `authentication` knows the keys."""
        self._authentication = authentication
        self._due: dict[str, float] = {}  # time at which a key's refusals so far fit the rate
        self._last_due = 0.0
        # The key that sent last, the last other one, and when each did.
        self._last = self._other = ("", -_ACTIVE_SECONDS)
        self._shared_until: dict[str, float] = {}  # by address

    def note(self, key: str, now: float) -> None:
        """Learns that `key` has sent a request; an empty `key` is ignored."""
        if key:
            if key != self._last[0]:
                self._other = self._last
            self._last = key, now

    def pause_seconds(
        self, address: str, headers: Headers, before: Headers | None, now: float
    ) -> float:
        """Returns the seconds for which a connection is not read after a refusal.

        It is 0 if the request has no valid key, if the refusals of its key fit the rate, or if
        `note` has learnt of no other key within `_ACTIVE_SECONDS`.

        Args:
            address: IP address of the client.
            headers: headers of the refused request.
            before: headers of the request before it on the same connection; None: unknown.
            now: seconds of a clock that never goes back.
        """
        key = self._sender(headers)
        if not key:
            return 0.0
        due = max(self._due.get(key, 0.0), now - _BURST / _PER_SECOND) + 1 / _PER_SECOND
        self._due[key] = due = min(due, now + _MAX_PAUSE_SECONDS)
        self._last_due = max(self._last_due, due)
        if before is not None and self._sender(before) not in (key, None):
            self._note_shared(address, now)
        is_proxy = self._shared_until.get(address, 0.0) > now
        return 0.0 if is_proxy or self._is_alone(key, now) else max(0.0, due - now)

    def slows(self, key: str, now: float) -> bool:
        """Returns whether the refusals of `key` are too many for the rate."""
        return self._due.get(key, 0.0) > now

    def slows_any(self, now: float) -> bool:
        """Returns whether the refusals of any key are too many for the rate."""
        return self._last_due > now

    def _is_alone(self, key: str, now: float) -> bool:
        other, at = self._other if self._last[0] == key else self._last
        return not other or at + _ACTIVE_SECONDS < now

    def _sender(self, headers: Headers) -> str | None:
        """Returns the key id of a request; None if it may do nothing, empty if it needs no key."""
        try:
            principal = self._authentication.principal(headers)
        except UnauthorizedError:
            return None
        return principal.key_id if principal.key_id or principal.scopes else None

    def _note_shared(self, address: str, now: float) -> None:
        if len(self._shared_until) >= _MAX_ADDRESSES:
            self._shared_until.clear()
        self._shared_until[address] = now + _SHARED_SECONDS
