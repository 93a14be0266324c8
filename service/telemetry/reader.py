"""Reads the metrics of all workers for scrapes, in a thread and for all callers together.

With several workers, a reading takes a large part of a second, because each worker has files with
all its counters and histograms.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.low_priority import LowPriorityThreads
from service.shared_calls import SharedCalls
from service.telemetry.worker_metrics import ReadGauges, all_workers

FOR_OPERATORS = frozenset({"recommender_key_requests"})
"""Names of the metrics that need a key of scope *admin*, because their labels name keys."""

_PAUSE_SHARE = 4
"""Length of the pause after a reading, as a multiple of the time that the reading took."""

_MAX_PAUSE_SECONDS = 1.0

Families = Sequence[Metric]
Encode = Callable[[Families], bytes]


class MetricsReader:
    """Reads all metrics in a thread of low priority, so that the event loop goes on meanwhile.

    Callers that ask during a reading share the next one. After each reading there is a pause, so
    that scrapes take at most a fifth of a thread.

    Attributes:
        read_gauges: returns further metrics of a single worker; called in the event loop.
    """

    def __init__(self, registry: CollectorRegistry, folder: Path | None) -> None:
        """Makes a reader whose thread starts at the first reading.

        Args:
            registry: the metrics of this process.
            folder: the folder with the metrics of all workers; None: there is a single worker.
        """
        self.read_gauges: ReadGauges = tuple
        self._registry = registry
        self._folder = folder
        self._threads = LowPriorityThreads(1)
        self._texts = SharedCalls(partial(self._read, _as_text), _pause_after)
        self._samples = SharedCalls(partial(self._read, _as_json), _pause_after)

    @property
    def waiting(self) -> int:
        """Number of callers that wait for a reading."""
        return self._texts.waiting + self._samples.waiting

    async def text(self) -> bytes:
        """Returns the metrics in Prometheus' text format, in UTF-8, without those FOR_OPERATORS."""
        return await self._texts.result()

    async def samples(self) -> bytes:
        """Returns the values of all metrics as a JSON array, whose objects are SampleAnswers."""
        return await self._samples.result()

    def collect(self, gauges: Families) -> Families:
        """Returns all metrics of all workers and `gauges`; takes a large part of a second."""
        registry = all_workers(self._folder) if self._folder else self._registry
        return [*registry.collect(), *gauges]

    async def _read(self, encode: Encode) -> bytes:
        # Here, because gauges are read from objects that only the event loop may use.
        gauges = [] if self._folder else [*self.read_gauges()]
        return await self._threads.run(lambda: encode(self.collect(gauges)))


def _pause_after(seconds: float) -> float:
    return min(_MAX_PAUSE_SECONDS, _PAUSE_SHARE * seconds)


class _Collected(Collector):
    """A collector of prometheus_client for metrics that are collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _as_text(families: Families) -> bytes:
    return generate_latest(_Collected(each for each in families if each.name not in FOR_OPERATORS))


def _as_json(families: Families) -> bytes:
    return orjson.dumps(
        [
            # Some gauges have the value True, which in JSON is no number.
            {"name": each.name, "labels": each.labels, "value": float(each.value)}
            for family in families
            for each in family.samples
            if not each.name.endswith("_created")
        ]
    )
