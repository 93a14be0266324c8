"""The metrics of several workers as one, whichever of them Prometheus asks.

Where PROMETHEUS_MULTIPROC_DIR names a folder, prometheus_client keeps what is counted in files
there. Gauges that are read when asked have no file: each worker writes its own now and then.
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
# Of requests in flight each worker has its own; the others tell of the same thing.
_SUMMED = {"recommender_requests_in_flight"}


def shared_folder() -> Path | None:
    """Where the workers' metrics are kept; None for a worker that is alone."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def all_workers(folder: Path) -> CollectorRegistry:
    """The metrics of all workers; of those that ended, what they counted."""
    for file in folder.glob("gauge_live*.db"):
        worker = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{worker}").exists():
            file.unlink(missing_ok=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # its own gap
    return registry


class SharedGauges:
    """The gauges of this worker, written where the others find them."""

    def __init__(self, read: ReadGauges) -> None:
        self._read = read
        self._process = _SharedProcess()
        self._gauges: dict[str, Gauge] = {}
        self._known: dict[str, set[tuple[str, ...]]] = {}

    async def follow(self) -> None:
        """Writes until cancelled."""
        while True:
            self.write()
            await asyncio.sleep(_WRITE_SECONDS)

    def write(self) -> None:
        """Writes what the gauges say now; what they say no more, a bundle that went, is 0."""
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
    """What this worker costs, which prometheus_client tells of a process that is alone only.

    CPU of workers that ended stays counted, or Prometheus would take the fall for a restart of all.
    """

    def __init__(self) -> None:
        self._own = ProcessCollector(registry=None)
        self._cpu = Counter(_CPU, "CPU time of all workers in seconds.", registry=None)
        self._memory = Gauge(
            _MEMORY,
            "Resident memory of all workers in bytes.",
            registry=None,
            multiprocess_mode="livesum",
        )
        self._counted = 0.0

    def write(self) -> None:
        """Writes what it is now; nothing where the system does not tell."""
        told = {family.name: family.samples[0].value for family in self._own.collect()}
        if told:
            self._cpu.inc(told[_CPU] - self._counted)
            self._counted = told[_CPU]
            self._memory.set(told[_MEMORY])
