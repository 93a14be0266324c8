"""Gauges of the live figures, for alerts: drift, click-through, and variants behind the control."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio import to_thread
from prometheus_client.core import GaugeMetricFamily

from export.contract.records import BundleError
from service.background import in_background
from service.experiments.comparison import ExperimentFile

logger = logging.getLogger(__name__)

_POLL_SECONDS = 5.0
_SECONDS_AT_START = 2.0
_DRIFT = {
    "events": "Number of recent events in the event log that drift is counted from.",
    "unknown_items": "Share of recent events on items that the model does not have.",
    "head": "Share, of recent events on items of the model, on its most popular items.",
    "head_in_training": "Share of the training interactions on these most popular items.",
    "busiest_session": "Share of recent events of the session with the most events.",
}


class LiveGauges:
    """Gauges with the newest content of a file of live figures.

    The file is read in the background, so that a scrape does not wait for the disk. While it cannot
    be read, the gauges keep their values, and `recommender_live_counted_timestamp_seconds` tells
    how old they are.
    """

    def __init__(self, file: ExperimentFile | None, control: str) -> None:
        """Makes gauges of `file` (None: no gauges); variants are compared with `control`."""
        self._file = file
        self._control = control
        self._content: Mapping[str, Any] | None = None
        self._was_read = asyncio.Event()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator["LiveGauges"]:
        """Context manager: reads the file now, and every `_POLL_SECONDS` until the context ends.

        If the first read takes more than `_SECONDS_AT_START`, the context opens before that read
        has ended.
        """
        if self._file is None:
            yield self
            return
        async with in_background(self._follow()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._was_read.wait(), _SECONDS_AT_START)
            yield self

    async def _follow(self) -> None:
        while True:
            await self.refresh()
            self._was_read.set()
            await asyncio.sleep(_POLL_SECONDS)

    async def refresh(self) -> None:
        """Reads the file if it has changed."""
        if self._file is None:
            return
        try:
            self._content = await to_thread.run_sync(self._file.content, self._control)
        except FileNotFoundError:
            return  # nothing was counted yet
        except (OSError, BundleError) as error:
            logger.warning("the figures of experiments cannot be read: %s", error)

    def __iter__(self) -> Iterator[GaugeMetricFamily]:
        """Yields the gauges; none before the file was read."""
        if self._content is None:
            return
        yield GaugeMetricFamily(
            "recommender_live_counted_timestamp_seconds",
            "Unix time at which the event log was counted.",
            self._content["made_at"] / 1000,
        )
        yield _click_through(self._content)
        yield _behind(self._content)
        if self._content["drift"] is not None:
            yield from _drift(self._content["drift"])


def _drift(drift: Mapping[str, Any]) -> Iterator[GaugeMetricFamily]:
    for name, text in _DRIFT.items():
        if drift[name] is not None:
            yield GaugeMetricFamily(f"recommender_live_{name}", text, drift[name])


def _click_through(content: Mapping[str, Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "recommender_live_click_through",
        "Share of the lists that were clicked, by variant, model version and source.",
        labels=["variant", "model_version", "source"],
    )
    for each in content["figures"]:
        estimate = each["click_through"]["estimate"]
        if estimate is not None:
            labels = [each[name] for name in ("variant", "model_version", "source")]
            family.add_metric(labels, estimate)
    return family


def _behind(content: Mapping[str, Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "recommender_live_variant_behind",
        "1 while the variant is shown to be worse than the control, by metric.",
        labels=["variant", "metric"],
    )
    for each in content["comparisons"]:
        is_behind = each["ahead"] == each["against"]
        family.add_metric([each["variant"], each["metric"]], float(is_behind))
    return family
