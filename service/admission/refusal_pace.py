"""Slows down the clients of an API key that send on after refusals, in favour of other keys.

A refusal is cheap, but ten thousand a second take a core. So refusals of a key beyond a rate pause
the connections on which they are sent. The clients' further requests then wait unread in the
buffers of the sockets. `Retry-After` is at least a second and a pause at most one, so a client that
waits for it notices nothing. A key that is alone is not slowed down, since nobody would gain.
"""

from collections.abc import Collection
from weakref import WeakKeyDictionary

from service.access.authentication import Authentication
from service.http.connections import Headers

_PER_SECOND = 200
"""Maximum rate of a key's refusals from which no connection is paused."""

_BURST = 50
"""Number of refusals of a key that may come at once before a connection is paused."""

_MAX_PAUSE_SECONDS = 1.0

_MIN_SHARE = 0.5
"""Shortest pause of a key with too many refusals for longer pauses, as a share of the longest."""

_GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, are spread evenly, however many there are

_ACTIVE_SECONDS = 1.0
"""Seconds after its last request for which a key counts as one that others can harm."""

_SHARED_SECONDS = 10.0
"""Seconds for which a connection counts as a proxy's after two keys have sent on it in turn."""


class RefusalPace:
    """Computes for how long a connection is not read after a refusal, by the key of the request.

    Source: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371).

    A proxy sends requests of several clients over one connection, and a pause would delay all of
    them. So a connection is not paused for a while after a request of another key on it, unless
    that key has too many refusals too.
    """

    def __init__(self, authentication: Authentication) -> None:
        """Makes a pace without refusals so far; `authentication` knows the keys."""
        self._authentication = authentication
        self._due: dict[str, float] = {}  # time at which a key's refusals so far fit the rate
        self._slowed: set[str] = set()
        # The key that sent last, the last other one, and when each did.
        self._last = self._other = ("", -_ACTIVE_SECONDS)
        self._others_sent_at = -_ACTIVE_SECONDS  # the last request of a key that is not slowed down
        self._excused, self._spread = "", 0.0
        self._shared_until: WeakKeyDictionary[object, float] = WeakKeyDictionary()  # by connection

    def note(self, key: str, now: float) -> None:
        """Learns that `key` has sent a request; an empty `key` is ignored."""
        if key:
            if key != self._last[0]:
                self._other = self._last
            self._last = key, now
            if not self.slows(key, now):
                self._others_sent_at = now

    def excuse(self, key: str) -> None:
        """Leaves the next refusal of `key` out of its rate: the key has not caused it."""
        self._excused = key

    def pause_seconds(
        self, connection: object, headers: Headers, before: Headers | None, now: float
    ) -> float:
        """Returns the seconds for which a connection is not read after a refusal.

        It is 0 if the request has no valid key, if the refusals of its key fit the rate, or if
        `note` has learnt of no other key within `_ACTIVE_SECONDS`.

        Args:
            connection: the connection; its object can have a weak reference.
            headers: headers of the refused request.
            before: headers of the request before it on the same connection; None: unknown.
            now: seconds of a clock that never goes back.
        """
        key, excused, self._excused = self._authentication.key_id(headers), self._excused, ""
        if not key:
            return 0.0
        seconds = 0.0 if key == excused else self._seconds_until_due(key, now)
        earlier = self._authentication.key_id(before) if before is not None else ""
        if earlier not in ("", key) and not self.slows(earlier, now):
            self._shared_until[connection] = now + _SHARED_SECONDS
        is_proxy = self._shared_until.get(connection, 0.0) > now
        return 0.0 if is_proxy or self._is_alone(key, now) else seconds

    def slows(self, key: str, now: float) -> bool:
        """Returns whether the refusals of `key` are too many for the rate."""
        return self._due.get(key, 0.0) > now

    def slows_among_others(self, key: str, now: float) -> bool:
        """Returns whether `key` is slowed down, and another key, which is not, sends requests."""
        return self.slows(key, now) and now < self._others_sent_at + _ACTIVE_SECONDS

    def slowed(self, now: float) -> Collection[str]:
        """Returns the keys whose refusals are too many for the rate."""
        if self._slowed:
            self._slowed = {each for each in self._slowed if self.slows(each, now)}
        return self._slowed

    def _seconds_until_due(self, key: str, now: float) -> float:
        """Counts a refusal of `key`; returns the seconds until its refusals so far fit the rate.

        Beyond the maximum, returns seconds between a part of it and all of it. They are spread
        evenly, so that the connections of a key are not all read in the same moment.
        """
        due = max(self._due.get(key, 0.0), now - _BURST / _PER_SECOND) + 1 / _PER_SECOND
        latest = now + _MAX_PAUSE_SECONDS
        self._due[key] = min(due, latest)
        if due > now:
            self._slowed.add(key)
        if due <= latest:
            return max(0.0, due - now)
        self._spread = (self._spread + _GOLDEN) % 1
        return _MAX_PAUSE_SECONDS * (1 - (1 - _MIN_SHARE) * self._spread)

    def _is_alone(self, key: str, now: float) -> bool:
        other, at = self._other if self._last[0] == key else self._last
        return not other or at + _ACTIVE_SECONDS < now
