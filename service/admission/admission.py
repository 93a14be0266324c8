"""Accepts or refuses the requests of one worker, by kind of work, key and bounds."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from service.access.access import Access
from service.access.route_table import Found, RouteTable, path_of
from service.admission.bounds import Bodies, Bound
from service.admission.caller import wait_seconds
from service.admission.costs import TURN_KINDS, Cost, Kind, kind_of
from service.admission.gate import REASONS, Gate
from service.admission.light_shares import LightShares
from service.admission.long_requests import Exchange, LongRequests, is_long
from service.admission.refusal_pace import RefusalPace
from service.admission.rests import Rests
from service.admission.strain import Strain
from service.errors import OverloadedError, TooManyRequestsError, UnauthorizedError
from service.http.body_limit import announced_length
from service.http.connections import EarlyRefusal, Headers
from service.settings import Settings
from service.telemetry.metrics import Metrics

_MAX_ADMIN_REQUESTS = 256  # that change bundles or items; they are handled one at a time
_MAX_BULK_REQUESTS = 16  # with many changes of items; they wait for each other
_MAX_STORING_REQUESTS = 32  # with many events; each has up to 32 calls of the store at once

_NO_ROUTE = Cost("light", is_limited=False)
"""Cost of a request that no route answers."""

_ASKS_FOR_REASONS = re.compile(rb'"explain"\s*:\s*true')

_SHARE_UNDER_STRAIN = 6
"""Divisor that lowers the maximum of light requests while light requests are refused.

A burst may fill the whole bound once. Under lasting overload, a longer queue makes every answer
later, and a shorter one lets the worker idle between the bursts in which requests come.
"""


class Admission:
    """Accepts or refuses the requests of one worker, by its bounds.

    Attributes:
        accepts_below: number of requests in progress below which none is refused for the work on
            the event loop; 0 for a moment after one was refused for it.
        is_strained: whether, in the last 0.25 s, heavy, teacher, admin or bulk requests were
            refused, or a key that is over its limits.
        heavy: the gate of heavy work.
        bodies, admin_bodies: receive heavy and teacher bodies; and, held up by none, admin's.
        waiting_kinds: the bounds of teacher, admin and bulk requests, by kind.
        storing: the bound of requests that store many events, once they are parsed.
    """

    def __init__(
        self,
        settings: Settings,
        costs: RouteTable[Cost],
        num_items: Callable[[], int],
        metrics: Metrics,
        waiting_elsewhere: Callable[[], int],
        access: Access,
    ) -> None:
        """Makes the bounds of one worker.

        Args:
            settings: the settings that hold the maximum of each bound.
            costs: the cost of each route.
            num_items: returns the number of items in the catalog.
            metrics: counts the refusals by reason.
            waiting_elsewhere: returns the number of requests that wait for histories, metrics or
                counts of events, each counted once.
            access: the keys of the service, and the limits of each key.
        """
        metrics.announce_refusals(REASONS)
        self._count_refusal, self._count_limited = metrics.count_refusal, metrics.count_limited
        self.heavy = Gate(settings.heavy_turns, settings.heavy_queue_units, self._refused)
        self.bodies, self.admin_bodies = Bodies(self._refused), Bodies(self._refused)
        self.waiting_kinds: Mapping[Kind, Bound] = {
            "teacher": Bound("teacher", settings.teacher_requests, self._refused),
            "admin": Bound("admin", _MAX_ADMIN_REQUESTS, self._refused),
            "bulk": Bound("bulk", _MAX_BULK_REQUESTS, self._refused),
        }
        self.storing = Bound("storing", _MAX_STORING_REQUESTS, self._refused)
        self._waiting_bounds = (*self.waiting_kinds.values(), self.storing)
        self._light_requests = settings.light_requests
        self._keys, self._limits = access.authentication, access.limits
        self._key_of = self._keys.key_id
        self._pace = RefusalPace(self._keys) if settings.keys_file else None
        self._shares = LightShares(self._pace) if self._pace else None
        self._rests = Rests(self._pace) if self._pace else None
        self._long_requests = LongRequests()
        self._strain_of_light = Strain(self._bound_light)
        self._strain_of_keys = Strain(self._bound_light)
        self._strain_of_pace = Strain(self._bound_light)
        self._bound_light()
        self.is_strained = False
        self._strain, self._strain_of_limits = Strain(self._note_strain), Strain(self._note_strain)
        self._limits.note_refusals(self._strain_of_limits.refused)
        self._costs = costs
        self._num_items = num_items
        self._waiting_elsewhere = waiting_elsewhere

    def refusal(
        self,
        in_progress: int,
        method: bytes,
        url: bytes,
        headers: Headers,
        *,
        is_late: bool = False,
    ) -> EarlyRefusal | None:
        """Decides on a request by its head: returns None if it is accepted, else why it is refused.

        Counts a refusal in the metrics.

        Args:
            in_progress: number of requests that the worker has still to answer. It leaves out
                requests whose client is still sending the body or reading the answer.
            method: the method of the request.
            url: the target of the request, as the client sent it.
            headers: the headers of the request.
            is_late: whether the request was accepted once, and its body has come since then.
        """
        if self._pace:
            self._pace.note(self._key_of(headers), time.monotonic())
        if self._strain_of_limits.is_on and (over := self._over_limit(method, url, headers)):
            self._count_refusal("limit")
            self._strain_of_limits.refused()
            return over
        working = in_progress - self._waiting()
        if working < self.accepts_below and not self.is_strained:
            return None
        found = self._find(method, url)
        cost = found.value if found else _NO_ROUTE
        if cost.kind == "free":
            return None
        if self._must_rest(working, cost, headers, is_late=is_late):
            return OverloadedError(1)
        if self._finds_loop_full(working, cost, headers, is_late=is_late):
            return OverloadedError(1)
        seconds = self._seconds_to_a_place(cost, headers) if self.is_strained else 0
        return OverloadedError(seconds) if seconds else None

    def refusal_of_body(self, exchange: Exchange) -> EarlyRefusal | None:
        """Returns None if a request with a complete body is accepted, else the reason to refuse it.

        Refuses only requests for explanations. They need a turn of heavy work although their route
        is light, and only their body shows this. Counts a refusal in the metrics. `exchange`: the
        request.
        """
        if not _ASKS_FOR_REASONS.search(exchange.body):
            return None
        scope = exchange.scope
        found = self._found_in(scope)
        if found is None or found.value.kind != "light":
            return None
        key, headers = self._key_of(scope["headers"]), scope["headers"]
        seconds = self.heavy.retry_after(key, wait_seconds(headers), units=1)
        return OverloadedError(seconds) if seconds else None

    def pause_seconds(self, connection: object, headers: Headers, before: Headers | None) -> float:
        """Implements `EarlyAdmission.pause_seconds`; 0 if the service has no keys."""
        if self._pace is None:
            return 0.0
        now = time.monotonic()
        seconds = self._pace.pause_seconds(connection, headers, before, now)
        if self._pace.slowed(now):
            self._strain_of_pace.refused(seconds)
        return seconds

    def is_refusing_light(self) -> bool:
        """Returns whether light requests were refused a moment ago, and none of a greedy key."""
        return self._strain_of_light.is_on and not self._strain_of_keys.is_on

    def started(self, exchange: Exchange) -> None:
        """Counts a long light request; begins the rest of a key that is slowed down.

        Called when the work on the request starts. `exchange`: the request.
        """
        scope = exchange.scope
        length = announced_length(scope["headers"])
        found = self._found_in(scope)
        if found is None:
            return
        kind = kind_of(found.value.kind, length)
        if kind == "light" and is_long(length):
            self._long_requests.add(exchange)
        if self._rests:
            key, now = self._key_of(scope["headers"]), time.monotonic()
            if kind == "light":
                self._rests.begin_light(key, now)
            elif kind in TURN_KINDS:
                units = found.value.units(length, self._num_items())
                self._rests.begin_heavy(key, self.heavy.work_seconds(units), now)

    def _find(self, method: bytes, url: bytes) -> Found[Cost] | None:
        return self._costs.find(method.decode("latin-1"), path_of(url))

    def _found_in(self, scope: Mapping[str, Any]) -> Found[Cost] | None:
        """Finds the route of a request by its scope, whose `path` uvicorn has decoded already."""
        return self._costs.find(scope["method"], scope["raw_path"].decode("latin-1"))

    def _over_limit(
        self, method: bytes, url: bytes, headers: Headers
    ) -> TooManyRequestsError | None:
        """Returns the reason to refuse a request if its key is over its limits, else None.

        Counts a refusal for the route and for the key, as the application counts its own.
        """
        try:
            principal = self._keys.principal(headers)
        except UnauthorizedError:
            return None
        over = principal.limits and self._limits.seconds_over(principal)
        found = self._find(method, url) if over else None
        if not over or not found or not found.value.is_limited:
            return None
        self._count_limited(method.decode("latin-1"), found.path, principal.key_id)
        return TooManyRequestsError(over)

    def _must_rest(self, working: int, cost: Cost, headers: Headers, *, is_late: bool) -> bool:
        """Returns whether the key of a request is slowed down, and its last work not long ago."""
        if not self._rests or not self._shares or self.accepts_below:
            return False
        key, now = self._key_of(headers), time.monotonic()
        kind = kind_of(cost.kind, announced_length(headers))
        if kind == "light":
            must_rest = self._rests.refuses_light(key, working, now)
        else:
            must_rest = kind in TURN_KINDS and self._rests.refuses_heavy(key, now)
        if must_rest:
            if not is_late:
                self._shares.count(key, now)
            self._count_refusal("share")
        return must_rest

    def _finds_loop_full(
        self, working: int, cost: Cost, headers: Headers, *, is_late: bool
    ) -> bool:
        """Returns whether the event loop has too much work in progress to begin a request.

        Requests of all kinds begin there, so the bound of light requests holds for them too.
        """
        if self._shares and working >= self._shared_from:
            key, now = self._key_of(headers), time.monotonic()
            if not is_late:  # else it was counted before its body came
                self._shares.count(key, now)
            if not self._shares.admits(key, now):
                if self._shares.is_greedy(key, now):
                    self._strain_of_keys.refused()
                self._refused("share")
                return True
        if working >= self._max_light or self._must_wait_as_long(working, cost, headers):
            self._refused("busy")
            self._excuse(headers)
            return True
        return False

    def _excuse(self, headers: Headers) -> None:
        """Excuses a refusal because of much work, if other keys send about as much or more."""
        if self._shares and self._pace:
            key = self._key_of(headers)
            if self._shares.is_matched(key):
                self._pace.excuse(key)

    def _must_wait_as_long(self, working: int, cost: Cost, headers: Headers) -> bool:
        """Returns whether a request is long, and other requests must be answered before it.

        Always False unless light requests were refused a moment ago.
        """
        if not self._strain_of_light.is_on or cost.kind != "light":
            return False
        length = announced_length(headers)
        if kind_of(cost.kind, length) != "light" or not is_long(length):
            return False
        return not self._long_requests.admits(working, time.monotonic())

    def _seconds_to_a_place(self, cost: Cost, headers: Headers) -> int:
        """Returns 0 if a new request will be served in time, else the seconds before a retry.

        A teacher, admin or bulk request needs a free place. A heavy, teacher or bulk request needs
        a turn, expected within the time for which its client waits. Counts a refusal in the
        metrics.
        """
        length = announced_length(headers)
        kind = kind_of(cost.kind, length)
        bound = self.waiting_kinds.get(kind)
        if bound and bound.promises_none():
            return 1
        if kind not in TURN_KINDS:
            return 0
        units = cost.units(length, self._num_items())
        return self.heavy.retry_after(self._key_of(headers), wait_seconds(headers), units)

    def _note_strain(self) -> None:
        self.is_strained = self._strain.is_on or self._strain_of_limits.is_on

    def _bound_light(self) -> None:
        """Sets the bound of light requests: LIGHT_REQUESTS, or a reduced bound under strain.

        If the service has keys, each key's share is enforced once half of the bound is in use.
        While a greedy key is refused, the reduced bound holds only for keys over their share.
        """
        part = max(1, self._light_requests // _SHARE_UNDER_STRAIN)
        is_greedy, is_busy = self._strain_of_keys.is_on, self._strain_of_light.is_on
        self._max_light = part if is_busy and not is_greedy else self._light_requests
        is_strained = is_busy or is_greedy
        lower = part if is_strained else self._light_requests
        self._shared_from = max(1, lower // 2) if self._shares else lower
        # While it is 0, long requests are counted and each key's requests are looked at.
        is_watched = is_strained or self._strain_of_pace.is_on
        self.accepts_below = 0 if is_watched else self._shared_from

    def _refused(self, reason: str) -> None:
        """Counts a refusal by its reason; the worker is then under strain for a moment."""
        self._count_refusal(reason)
        if reason in ("busy", "share"):
            self._strain_of_light.refused()
        elif reason != "left":
            self._strain.refused()

    def _waiting(self) -> int:
        """Returns the number of requests in progress that leave the event loop free.

        They wait for a turn, the teacher, an admin change, a store or the metrics, or work in a
        thread.
        """
        waiting = self.heavy.in_progress + self._waiting_elsewhere()
        for bound in self._waiting_bounds:  # not a sum of a generator, which takes twice as long
            waiting += bound.requests
        return waiting

    def gauges(self) -> Iterator[GaugeMetricFamily]:
        """Yields a gauge of the units of heavy requests, by state: `queued` or `running`."""
        units = GaugeMetricFamily(
            "recommender_heavy_units",
            "Units of heavy work that wait for a turn, and that have one.",
            labels=["state"],
        )
        units.add_metric(["queued"], self.heavy.queued_units)
        units.add_metric(["running"], self.heavy.running_units)
        yield units
