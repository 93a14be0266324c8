"""Prometheus metrics of the service: counters and histograms of requests, and gauges."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily

from service.background import in_background
from service.telemetry.reader import MetricsReader
from service.telemetry.stopwatch import Stopwatch
from service.telemetry.worker_metrics import ReadGauges, SharedGauges, shared_folder

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20)
_LOGGED_KINDS = ("event", "impression")
LEFT_OUT: Mapping[str, str] = {
    "log_full": "the log has its maximum size",
    "log_failed": "the log cannot be written",
    "behind": "too many impressions wait to be written",
    "too_long": "an impression is longer than an entry may be",
}
"""Maps the reasons why records are left out of the event log to their meanings."""

OUTCOMES: Mapping[str, str] = {
    "answered": "answered with a status below 400",
    "limited": "answered 429, since the key is over its rate or daily quota",
    "failed": "answered with any other status from 400 on, a refusal by 503 among them",
}
"""Maps the outcomes of requests with a key to their meanings."""

_SHARES = [tenth / 10 for tenth in range(11)]


def _left_out(counter: Callable[..., Counter]) -> Counter:
    """Makes by `counter` the metric that shows 0 before the first record that is left out."""
    text = "Records that are left out of the event log, by kind and reason."
    left_out = counter("recommender_log_left_out", text, ["kind", "reason"])
    for kind, reason in product(_LOGGED_KINDS, LEFT_OUT):
        left_out.labels(kind, reason)
    return left_out


class Metrics:
    """The Prometheus metrics of one application in one worker.

    Attributes:
        reader: reads the metrics of all workers.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._folder = shared_folder()
        self.reader = MetricsReader(self._registry, self._folder)
        self._in_flight = 0
        counter = partial(Counter, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self._requests = histogram(
            "recommender_request_seconds",
            "Requests from arrival to the last byte.",
            ["method", "route", "status"],
            buckets=_SECONDS,
        )
        self._parts = histogram(
            "recommender_part_seconds",
            "Parts of requests: the history store, the inference.",
            ["part"],
            buckets=_SECONDS,
        )
        self._answers = counter(
            "recommender_answers",
            "Recommendation lists by variant and source.",
            ["variant", "source", "degraded"],
        )
        self._shadow = histogram(
            "recommender_shadow_overlap",
            "Overlap@k of student and teacher in shadow traffic.",
            buckets=_SHARES,
        )
        self._shadow_failures = counter(
            "recommender_shadow_failures",
            "Queries of shadow traffic that the teacher did not answer.",
        )
        self._refusals = counter(
            "recommender_refusals",
            "Requests that were refused or dropped because of too much work, by reason.",
            ["reason"],
        )
        self._keys = counter(
            "recommender_key_requests",
            "Requests with a key that may call the route, by key id and outcome.",
            ["key", "outcome"],
        )
        self._left_out = _left_out(counter)
        # Metrics by their label values, because a call of `labels()` takes longer than counting.
        self._of_request: dict[tuple[str, str, int], Histogram] = {}
        self._of_part: dict[str, Histogram] = {}
        self._of_answer: dict[tuple[str, str, bool], Counter] = {}
        self._of_refusal: dict[str, Counter] = {}
        self._of_key: dict[tuple[str, int], Counter] = {}

    def count_arrival(self) -> None:
        """Adds a request that has arrived to the requests in progress."""
        self._in_flight += 1

    def count_answer(self, method: str, route: str, status: int, stopwatch: Stopwatch) -> None:
        """Records an answered request, which is then no longer in progress.

        Args:
            method: HTTP method.
            route: template of the path, such as `/v1/items/{item_id}`.
            status: HTTP status of the answer.
            stopwatch: the times of the request and of its parts, and the sources of its
                recommendation lists.
        """
        self._in_flight -= 1
        self._observe_request(method, route, status, stopwatch.seconds)
        for part, seconds in stopwatch.parts:
            self._observe_part(part, seconds)
        for answer in stopwatch.answers:
            self._count_recommendations(*answer)

    def _observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        request = (method, route, status)
        if request not in self._of_request:
            self._of_request[request] = self._requests.labels(method, route, str(status))
        self._of_request[request].observe(seconds)

    def _observe_part(self, part: str, seconds: float) -> None:
        if part not in self._of_part:
            self._of_part[part] = self._parts.labels(part)
        self._of_part[part].observe(seconds)

    def _count_recommendations(self, variant: str, source: str, degraded: bool) -> None:
        answer = (variant, source, degraded)
        if answer not in self._of_answer:
            labels = (variant, source, str(degraded).lower())
            self._of_answer[answer] = self._answers.labels(*labels)
        self._of_answer[answer].inc()

    def count_key(self, key_id: str, status: int) -> None:
        """Counts an answered request of a key, by its outcome: one of `OUTCOMES`.

        Args:
            key_id: public part of the key.
            status: HTTP status of the answer.
        """
        request = (key_id, status)
        if request not in self._of_key:
            self._of_key[request] = self._keys.labels(key_id, _outcome(status))
        self._of_key[request].inc()

    def count_limited(self, method: str, route: str, key_id: str) -> None:
        """Counts a request that is answered 429 by its head, before the application sees it.

        Such a request is never in progress, and its time counts as 0. The arguments are those of
        `count_answer` and `count_key`.
        """
        self._observe_request(method, route, HTTPStatus.TOO_MANY_REQUESTS, 0.0)
        self.count_key(key_id, HTTPStatus.TOO_MANY_REQUESTS)

    def count_refusal(self, reason: str) -> None:
        """Counts a request that was refused or dropped because of too much work.

        `reason`: one of `service.admission.gate.REASONS`, such as "busy".
        """
        if reason not in self._of_refusal:
            self._of_refusal[reason] = self._refusals.labels(reason)
        self._of_refusal[reason].inc()

    def announce_refusals(self, reasons: Iterable[str]) -> None:
        """Makes the refusal counter of each reason, so that scrapes show 0 before a refusal.

        `reasons`: the values that `count_refusal` will get.
        """
        for reason in reasons:
            self._refusals.labels(reason)

    def count_left_out(self, kind: str, reason: str, count: int) -> None:
        """Counts records that are left out of the event log.

        Args:
            kind: `event` or `impression`.
            reason: one of `LEFT_OUT`.
            count: number of records.
        """
        self._left_out.labels(kind, reason).inc(count)

    def observe_shadow(self, overlap: float) -> None:
        """Records the overlap@k of student and teacher for one query of shadow traffic."""
        self._shadow.observe(overlap)

    def count_shadow_failure(self) -> None:
        """Counts a query of shadow traffic that the teacher did not answer."""
        self._shadow_failures.inc()

    @asynccontextmanager
    async def watching(self, read: ReadGauges) -> AsyncIterator[None]:
        """Context manager that adds gauges to the metrics while its block runs.

        `read` is called for the gauges at each scrape, or every second if there are several
        workers. Further metrics are the requests in progress, the CPU time and the memory.
        """

        def read_all() -> Iterator[GaugeMetricFamily]:
            yield from read()
            yield GaugeMetricFamily(
                "recommender_requests_in_flight", "Requests being answered.", self._in_flight
            )

        if self._folder:
            async with in_background(SharedGauges(read_all).follow()):
                yield
            return
        ProcessCollector(registry=self._registry)
        self.reader.read_gauges = read_all
        yield
        self.reader.read_gauges = tuple


def _outcome(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "limited"
    return "answered" if status < HTTPStatus.BAD_REQUEST else "failed"
