"""Enforces the rate and the daily quota of each key, across all workers that share a Redis.

Most requests take a token that their worker has leased. This takes half a microsecond and no call
to Redis. When no token is left, one request leases the tokens of a tenth of a second from Redis.
The key's other requests wait for that lease. A key over its limit is refused without a call to
Redis, until its next token is due.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from service.access.bucket import Bucket, Execute, Grant, take_shared
from service.access.principal import Limits, Principal
from service.errors import TooManyRequestsError

logger = logging.getLogger(__name__)

_LEASE_SECONDS = 0.1
"""Seconds for which a lease lasts if a key sends at its full rate."""

_LEASE_OF_A_DAY = 0.001
"""Maximum size of a lease as a share of the daily quota."""

_MAX_LEASE_AGE_SECONDS = 1.0
"""Maximum age of a lease in seconds; unused tokens of an older lease are returned."""

_MAX_REFUSAL_SECONDS = 5.0
"""Maximum time in seconds for which a key is refused before a worker asks for a new lease."""

_PAUSE_SECONDS = 1.0
"""Seconds without calls to Redis after a failed call.

Meanwhile each worker counts only its own requests.
"""


class RateLimits:
    """Enforces the rates and the daily quotas of all keys in one worker."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, unix: Callable[[], float] = time.time
    ) -> None:
        """Makes limits with full buckets.

        Until `share` is called, they count only the requests of this worker.

        Args:
            clock: returns a time in seconds that never goes back; tests pass their own.
            unix: returns the Unix time; tests pass their own.
        """
        self._execute: Execute | None = None
        self._clock = clock
        self._unix = unix
        self._keys: dict[str, _KeyLimit] = {}
        self._noted: Callable[[], None] = _nothing
        self._shared_again_at = 0.0

    def share(self, execute: Execute) -> None:
        """Shares the limits, from now on, with all workers that use the same Redis.

        `execute`: sends a command to that Redis.
        """
        self._execute = execute

    def note_refusals(self, noted: Callable[[], None]) -> None:
        """Calls `noted` at each refusal from now on."""
        self._noted = noted

    def seconds_over(self, principal: Principal) -> float:
        """Returns the seconds until the key may send again; 0 if it may now. Takes no token."""
        key = self._keys.get(principal.key_id)
        if key is None or key.limits != principal.limits:
            return 0.0
        return key.seconds_over(self._clock())

    def take_at_once(self, principal: Principal) -> bool:
        """Takes a token for one request without a call to Redis; returns whether that succeeded.

        If this returns False, call `take`. Returns True if the principal has no limits.

        Raises:
            TooManyRequestsError: the key is over a limit.
        """
        limits = principal.limits
        if limits is None:
            return True
        key = self._keys.get(principal.key_id)
        if key is None or (key.limits is not limits and key.limits != limits):
            key = self._keys[principal.key_id] = _KeyLimit(limits)
        now = self._clock()
        if self._use_lease(key, now):
            return True
        if self._execute is not None and now >= self._shared_again_at:
            return False
        want, unused = _lease_size(limits), key.give_back()
        key.renew(key.bucket.take(limits, want, unused, self._unix()), now)
        return self._use_lease(key, now)

    async def take(self, principal: Principal) -> None:
        """Takes a token for one request; if necessary, first waits for a new lease from Redis.

        Raises:
            TooManyRequestsError: the key is over a limit.
        """
        while not self.take_at_once(principal) and self._execute is not None:
            key = self._keys[principal.key_id]
            if key.asking is None:
                ask = self._ask(principal.key_id, key, self._execute)
                key.asking = asyncio.ensure_future(ask)
            # Shielded, because a client that leaves must not cancel a call that others wait for.
            await asyncio.shield(key.asking)

    def _use_lease(self, key: "_KeyLimit", now: float) -> bool:
        try:
            return key.use_lease(now)
        except TooManyRequestsError:
            self._noted()
            raise

    async def _ask(self, key_id: str, key: "_KeyLimit", execute: Execute) -> None:
        """Returns the unused tokens of a key to Redis and takes a new lease for the key.

        If Redis fails, logs a warning; for `_PAUSE_SECONDS`, this worker counts by itself.
        """
        want, unused = _lease_size(key.limits), key.give_back()
        try:
            grant = await take_shared(execute, key_id, key.limits, want, unused)
        except (RedisError, OSError) as error:
            self._shared_again_at = self._clock() + _PAUSE_SECONDS
            logger.warning(
                "each worker counts only its own requests for the limits of keys for %g s: "
                "Redis does not answer (%s)",
                _PAUSE_SECONDS,
                type(error).__name__,
            )
        else:
            key.renew(grant, self._clock())
        finally:
            key.asking = None


class _KeyLimit:
    """The lease of one key in one worker.

    Attributes:
        limits: limits of the key; if they change, a new object replaces this one.
        bucket: the bucket of this worker, used without Redis and after a failed call to Redis.
        asking: the call in progress to Redis for a new lease; None: there is none.
    """

    __slots__ = (
        "_lease",
        "_lease_ends_at",
        "_may_ask_at",
        "_refused_until",
        "asking",
        "bucket",
        "limits",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bucket = Bucket()
        self.asking: asyncio.Future[None] | None = None
        self._lease = 0
        self._lease_ends_at = 0.0
        self._may_ask_at = self._refused_until = 0.0

    def use_lease(self, now: float) -> bool:
        """Uses one token of the lease; returns False if none is left or the lease is too old.

        Raises:
            TooManyRequestsError: no token is left, and the key's next token is not due yet.
        """
        if self._lease > 0 and now < self._lease_ends_at:
            self._lease -= 1
            return True
        if now < self._may_ask_at:
            raise TooManyRequestsError(self._refused_until - now)
        return False

    def seconds_over(self, now: float) -> float:
        """Returns the seconds until the next token is due; 0 if one can be had now."""
        has_token = self._lease > 0 and now < self._lease_ends_at
        return 0.0 if has_token or now >= self._may_ask_at else self._refused_until - now

    def give_back(self) -> int:
        """Ends the lease and returns the number of its unused tokens."""
        unused, self._lease = self._lease, 0
        return unused

    def renew(self, grant: Grant, now: float) -> None:
        """Begins a lease with the tokens of `grant` at the time `now`.

        If `grant` has no tokens, the key is refused until its next token is due, but for at most
        `_MAX_REFUSAL_SECONDS`.
        """
        self._lease, self._lease_ends_at = grant.tokens, now + _MAX_LEASE_AGE_SECONDS
        wait = 0.0 if grant.tokens else grant.wait_seconds
        self._refused_until = now + wait
        self._may_ask_at = now + min(wait, _MAX_REFUSAL_SECONDS)


def _nothing() -> None:
    """Stands for a function that learns of refusals."""


def _lease_size(limits: Limits) -> int:
    """Returns the number of tokens to lease at once, at least 1.

    These are the tokens of `_LEASE_SECONDS`, or less: the share `_LEASE_OF_A_DAY` of the daily
    quota. A small lease leaves few tokens unused.
    """
    sizes = []
    if limits.requests_per_second:
        sizes.append(limits.requests_per_second * _LEASE_SECONDS)
    if limits.requests_per_day:
        sizes.append(limits.requests_per_day * _LEASE_OF_A_DAY)
    return max(1, int(min(sizes)))
