"""Metrics of several workers in a shared folder: each worker can answer a scrape for all of them.

If PROMETHEUS_MULTIPROC_DIR names a folder, prometheus_client stores counters and histograms in
files there, but no gauges that are computed at a scrape. So each worker writes the values of its
gauges there every second.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_WRITE_SECONDS = 1.0
_CPU, _MEMORY = "process_cpu_seconds", "process_resident_memory_bytes"

ReadGauges = Callable[[], Iterable[GaugeMetricFamily]]
# Gauges whose values are summed over the workers. The other gauges describe what workers share.
_SUMMED = {
    "recommender_requests_in_flight",
    "recommender_heavy_units",
    "recommender_history_journalled_events",
    "recommender_history_rejected_events",
}


def shared_folder() -> Path | None:
    """Returns the folder that PROMETHEUS_MULTIPROC_DIR names; None if it is unset or empty.

    `service.start` sets the variable if there are several workers.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def all_workers(folder: Path) -> CollectorRegistry:
    """Returns a registry with the metrics of all workers, from their files in `folder`.

    Counters and histograms are sums that include workers that have ended. Gauges are sums or maxima
    of the workers that run. Deletes the gauge files of workers that have ended.
    """
    for file in folder.glob("gauge_live*.db"):
        worker = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{worker}").exists():
            file.unlink(missing_ok=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # untyped in prometheus_client
    return registry


class SharedGauges:
    """Writes this worker's gauges to the shared folder, from which each worker answers scrapes."""

    def __init__(self, read: ReadGauges) -> None:
        self._read = read
        self._process = _SharedProcess()
        self._gauges: dict[str, Gauge] = {}
        self._known: dict[str, set[tuple[str, ...]]] = {}

    async def follow(self) -> None:
        """Calls `write` every second until cancelled."""
        while True:
            self.write()
            await asyncio.sleep(_WRITE_SECONDS)

    def write(self) -> None:
        """Writes the current values of all gauges of this worker, and its CPU time and memory.

        Writes 0 for label values that a gauge had before and no longer has, such as the version of
        a former bundle.
        """
        self._process.write()
        for family in self._read():
            values = {tuple(each.labels.values()): each.value for each in family.samples}
            known = self._known.setdefault(family.name, set())
            known |= values.keys()
            for labels in known:
                self._set(family, labels, values.get(labels, 0))

    def _set(self, family: GaugeMetricFamily, labels: tuple[str, ...], value: float) -> None:
        if family.name not in self._gauges:
            mode: Literal["livesum", "livemax"]
            mode = "livesum" if family.name in _SUMMED else "livemax"
            names = list(family.samples[0].labels)
            self._gauges[family.name] = Gauge(
                family.name,
                family.documentation,
                names,
                registry=None,
                multiprocess_mode=mode,
            )
        gauge = self._gauges[family.name]
        (gauge.labels(*labels) if labels else gauge).set(value)


class _SharedProcess:
    """Writes the CPU time and memory of this worker to the shared folder.

    prometheus_client writes them for a single process only. The CPU time of workers that have ended
    stays in the sum over workers, because Prometheus takes a falling counter for a restart.
    """

    def __init__(self) -> None:
        self._collector = ProcessCollector(registry=None)
        self._cpu = Counter(_CPU, "CPU time of all workers in seconds.", registry=None)
        self._memory = Gauge(
            _MEMORY,
            "Resident memory of all workers in bytes.",
            registry=None,
            multiprocess_mode="livesum",
        )
        self._counted_seconds = 0.0

    def write(self) -> None:
        """Writes the current CPU time and memory; does nothing on a system without `/proc`."""
        values = {family.name: family.samples[0].value for family in self._collector.collect()}
        if values:
            self._cpu.inc(values[_CPU] - self._counted_seconds)
            self._counted_seconds = values[_CPU]
            self._memory.set(values[_MEMORY])
