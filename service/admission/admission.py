"""The bounds of one worker: light, heavy, teacher and admin requests, and incomplete bodies."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily
from starlette.types import Message, Receive

from service.admission.costs import Kind
from service.admission.gate import Gate, Refusal
from service.admission.light_shares import LightShares
from service.errors import OverloadedError
from service.http.body_limit import whole_body
from service.settings import Settings
from service.telemetry.metrics import Metrics

REASONS = ("busy", "share", "full", "deadline", "left", "teacher", "admin", "receiving")
"""Reasons of refusals, as the metrics name them.

- `busy`: there is too much light work.
- `share`: there is much light work, and the key sends more than its share of it.
- `full`: the queue of heavy work is full, or the request's turn would come too late.
- `deadline`: the time of the request is over.
- `left`: the client has closed the connection.
- `teacher`, `admin`: there are too many requests of this kind.
- `receiving`: incomplete bodies have too many bytes.
"""

Headers = Sequence[tuple[bytes, bytes]]

_MAX_RECEIVING_BYTES = 64 << 20
"""Maximum number of bytes that the incomplete bodies of heavy, teacher and admin requests have."""

_MAX_ADMIN_REQUESTS = 256
"""Maximum number of requests that change bundles or items; they are handled one at a time."""


class Bound:
    """Bounds the number of requests of one kind; a request counts until its answer begins."""

    def __init__(self, reason: str, max_requests: int, refused: Refusal) -> None:
        self.requests = 0
        self._reason = reason
        self._max_requests = max_requests
        self._refused = refused

    def check(self) -> None:
        """Raises OverloadedError if no place is free; does not take a place."""
        if self.requests >= self._max_requests:
            self._refused(self._reason)
            raise OverloadedError

    def enter(self) -> "Place":
        """Takes a place for one request; raises OverloadedError if none is free."""
        self.check()
        self.requests += 1
        return Place(self)


class Place:
    """The place of one request within a bound, which it has until `end`."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._is_over = False

    def end(self) -> None:
        """Gives the place back; a second call does nothing."""
        if not self._is_over:
            self._is_over = True
            self._bound.requests -= 1


class Bodies:
    """Receives whole request bodies, and bounds the total bytes of those still incomplete."""

    def __init__(self, refused: Refusal, max_bytes: int = _MAX_RECEIVING_BYTES) -> None:
        self._bytes = 0
        self._max_bytes = max_bytes
        self._refused = refused

    async def receive(self, receive: Receive) -> Message:
        """Receives the whole body of one request as one message, as `whole_body` does.

        Raises:
            HTTPException: 413, the body is too long.
            OverloadedError: the incomplete bodies of all requests have too many bytes.
        """
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            length = len(message.get("body", b""))
            received += length
            self._bytes += length
            if self._bytes > self._max_bytes:
                self._refused("receiving")
                raise OverloadedError
            return message

        try:
            return await whole_body(receive_counted)
        finally:
            self._bytes -= received


class Admission:
    """Accepts or refuses the requests of one worker, by its bounds.

    Attributes:
        accepts_below: number of requests in progress below which `is_overloaded` refuses none.
        heavy: the gate of heavy work.
        bodies: receives the bodies of heavy, teacher and admin requests.
        waiting_kinds: the bounds of teacher and admin requests, by kind.
    """

    def __init__(
        self,
        settings: Settings,
        free_paths: Collection[bytes],
        metrics: Metrics,
        waiting_for_store: Callable[[], int],
        key_of: Callable[[Headers], str],
    ) -> None:
        """Makes the bounds of one worker.

        Args:
            settings: the settings that hold the maximum of each bound.
            free_paths: paths of the routes that are never refused.
            metrics: counts the refusals by reason.
            waiting_for_store: returns the number of commands that the history store has yet to
                answer.
            key_of: returns the key id of a request from its headers; empty without a valid key.
        """
        refused = metrics.count_refusal
        metrics.announce_refusals(REASONS)
        self.heavy = Gate(settings.heavy_turns, settings.heavy_queue_units, refused)
        self.bodies = Bodies(refused)
        self.waiting_kinds: Mapping[Kind, Bound] = {
            "teacher": Bound("teacher", settings.teacher_requests, refused),
            "admin": Bound("admin", _MAX_ADMIN_REQUESTS, refused),
        }
        self._max_light = settings.light_requests
        # From half of the bound on, keys over their share are refused; at the bound, all keys are.
        self._shares = LightShares() if settings.keys_file else None
        self.accepts_below = self._max_light // 2 if self._shares else self._max_light
        self._key_of = key_of
        self._free_paths = free_paths
        self._refused = refused
        self._waiting_for_store = waiting_for_store

    def is_overloaded(self, in_progress: int, url: bytes, headers: Headers) -> bool:
        """Returns whether to refuse a new request, because there is too much light work.

        Counts the refusal.

        Args:
            in_progress: number of unanswered requests, without those that wait for their clients.
            url: the URL of the new request.
            headers: the headers of the new request.
        """
        if in_progress < self.accepts_below:
            return False
        working = in_progress - self._waiting()
        if working < self.accepts_below or url.partition(b"?")[0] in self._free_paths:
            return False
        if self._shares and not self._shares.admits(self._key_of(headers), time.monotonic()):
            self._refused("share")
            return True
        if working >= self._max_light:
            self._refused("busy")
            return True
        return False

    def _waiting(self) -> int:
        """Returns how many of the requests in progress do not keep the event loop busy now.

        These wait for a turn, the teacher, an admin change or the store, or work in a thread.
        """
        waiting = sum(each.requests for each in self.waiting_kinds.values())
        waiting += self.heavy.in_progress
        return waiting + self._waiting_for_store()

    def gauges(self) -> Iterator[GaugeMetricFamily]:
        """Yields a gauge of the units of heavy requests: those that wait and those with a turn."""
        units = GaugeMetricFamily(
            "recommender_heavy_units",
            "Units of heavy work that wait for a turn, and that have one.",
            labels=["state"],
        )
        units.add_metric(["queued"], self.heavy.queued_units)
        units.add_metric(["running"], self.heavy.running_units)
        yield units
