"""The bounds of one worker: light work, heavy work, and routes that wait for something slow."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client.core import GaugeMetricFamily

from service.admission.costs import Kind
from service.admission.gate import Gate, Refusal
from service.errors import OverloadedError
from service.settings import Settings
from service.telemetry.metrics import Metrics

REASONS = ("busy", "full", "deadline", "left", "teacher", "admin", "receiving")
"""Reasons of refusals: too much light work, a full queue, a time that is over, a sender that has
left, and too many requests of a kind or with bodies under way."""

_MAX_RECEIVING_UNITS = 4_000
"""Maximum units of heavy requests whose bodies are under way: 32 MB of bodies."""

_MAX_ADMIN_REQUESTS = 16


class Bound:
    """Bounds the units of requests that are in progress; refuses one that exceeds it."""

    def __init__(self, reason: str, max_units: int, refused: Refusal) -> None:
        self.units = 0
        self.requests = 0
        self._reason = reason
        self._max_units = max_units
        self._refused = refused

    @contextmanager
    def entered(self, units: int = 1) -> Iterator[None]:
        """Counts a request while the context is open.

        Raises:
            OverloadedError: there are too many.
        """
        if self.units and self.units + units > self._max_units:
            self._refused(self._reason)
            raise OverloadedError
        self.units += units
        self.requests += 1
        try:
            yield
        finally:
            self.units -= units
            self.requests -= 1


class Admission:
    """Decides which requests one worker works on.

    Attributes:
        max_light: number of requests in progress below which every request is accepted.
        heavy: the gate of heavy work.
        receiving: bounds the heavy requests whose bodies are under way.
        waiting_kinds: bounds of the routes that wait for something slow, by kind.
    """

    def __init__(
        self,
        settings: Settings,
        free_paths: Collection[bytes],
        metrics: Metrics,
        waiting_for_store: Callable[[], int],
    ) -> None:
        """Makes the bounds.

        Args:
            settings: has their sizes.
            free_paths: paths of the routes that are never refused.
            metrics: count refusals by their reasons.
            waiting_for_store: returns the number of commands without a reply of the history store.
        """
        refused = metrics.count_refusal
        metrics.announce_refusals(REASONS)
        self.heavy = Gate(settings.heavy_turns, settings.heavy_queue_units, refused)
        self.receiving = Bound("receiving", _MAX_RECEIVING_UNITS, refused)
        self.waiting_kinds: Mapping[Kind, Bound] = {
            "teacher": Bound("teacher", settings.teacher_requests, refused),
            "admin": Bound("admin", _MAX_ADMIN_REQUESTS, refused),
        }
        self.max_light = settings.light_requests
        self._free_paths = free_paths
        self._refused = refused
        self._waiting_for_store = waiting_for_store

    def is_overloaded(self, in_progress: int, url: bytes) -> bool:
        """Returns whether a new request must be refused, because of the light work in progress.

        Args:
            in_progress: number of requests that are not yet answered, of all kinds.
            url: the URL of the new request.
        """
        if in_progress < self.max_light or in_progress - self._waiting() < self.max_light:
            return False
        if url.partition(b"?")[0] in self._free_paths:
            return False
        self._refused("busy")
        return True

    def _waiting(self) -> int:
        """Returns the number of requests that wait, and so do not keep the event loop busy."""
        bounds = (self.receiving, *self.waiting_kinds.values())
        waiting = sum(each.requests for each in bounds) + self.heavy.in_progress
        return waiting + self._waiting_for_store()

    def gauges(self) -> Iterator[GaugeMetricFamily]:
        """Yields the units of heavy work that wait and that are worked on."""
        units = GaugeMetricFamily(
            "recommender_heavy_units",
            "Units of heavy work that wait for a turn, and that have one.",
            labels=["state"],
        )
        units.add_metric(["queued"], self.heavy.queued_units)
        units.add_metric(["running"], self.heavy.running_units)
        yield units
