"""What the routes work with: opened when the service starts, closed when it ends."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client.core import GaugeMetricFamily

from service.background import beside
from service.bundles.added_items import AddedItems
from service.bundles.hot_swap import HotSwap, WhileLoading, open_variants
from service.bundles.variants import ServedVariant, ServedVariants
from service.errors import InvalidRequestError, ItemStoreUnavailableError, NoTeacherError
from service.http.draining import Drain
from service.ranking.micro_batcher import MicroBatcher
from service.ranking.recommender import Query, Recommendations
from service.settings import Settings
from service.stores.history.guarded import GuardedHistory
from service.stores.opening import history_store, item_store
from service.teacher.connection import Teacher, connected_teacher
from service.teacher.slow_path import SlowPath
from service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass
class Runtime:
    """The parts of a running service."""

    settings: Settings
    models: ServedVariants
    activation: HotSwap
    history: GuardedHistory
    added: AddedItems
    metrics: Metrics
    teacher: Teacher | None
    drain: Drain
    together: MicroBatcher = field(default_factory=MicroBatcher)

    def check_k(self, k: int, field: str = "k") -> None:
        """Raises InvalidRequestError if `k` is more than the settings allow."""
        if k > self.settings.max_k:
            raise InvalidRequestError(field, f"must be at most {self.settings.max_k}, not {k}")

    @property
    def slow_path(self) -> SlowPath:
        """The way to the teacher; raises NoTeacherError if none is connected."""
        if self.teacher is None:
            raise NoTeacherError
        return self.teacher.slow_path

    def shadow(self, served: ServedVariant, wanted: Query, answer: Recommendations) -> None:
        """Maybe has the teacher answer the same, later; nothing waits for it."""
        if self.teacher:
            self.teacher.shadow.offer(served.recommender, wanted, answer)

    @property
    def is_teacher_lost(self) -> bool:
        """Whether there is a teacher that is left alone."""
        return self.teacher is not None and self.teacher.slow_path.is_lost

    def gauges(self) -> Iterator[GaugeMetricFamily]:
        """What there is at this moment, for the metrics."""
        labels = ["variant", "model_version", "student"]
        info = GaugeMetricFamily("recommender_variant_info", "Bundles that answer.", labels=labels)
        refused = GaugeMetricFamily(
            "recommender_bundle_refused",
            "1 while what stands at the variant's path cannot be served, so that an older one is.",
            labels=["variant"],
        )
        for slot in self.models.slots:
            student = slot.current.recommender.manifest.student
            info.add_metric([slot.variant, slot.current.model_version, student], 1)
            refused.add_metric([slot.variant], slot.refused is not None)
        yield info
        yield refused
        for name, text, value in (
            ("history_lost", "1 while the history store is left alone.", self.history.is_lost),
            ("teacher_lost", "1 while the teacher is left alone.", self.is_teacher_lost),
            ("added_items", "Items that were added at run time.", len(self.added)),
        ):
            yield GaugeMetricFamily(f"recommender_{name}", text, value=float(value))


@asynccontextmanager
async def running(
    settings: Settings, metrics: Metrics, drain: Drain, while_loading: WhileLoading
) -> AsyncIterator[Runtime]:
    """Loads the bundles, opens the stores, and follows new bundles and added items meanwhile.

    Raises:
        BundleError: a bundle cannot be served.
    """
    with while_loading():
        models = open_variants(settings.served_variants, settings.max_k)
    activation = HotSwap(models, settings.max_k, settings.bundles_poll_seconds, while_loading)
    added = AddedItems(item_store(settings), models, settings.items_poll_seconds)
    history = GuardedHistory(history_store(settings), settings.redis_pause_seconds)
    try:
        await added.refresh()
    except ItemStoreUnavailableError as error:
        logger.warning("starting without the added items: %s", error.in_full)
    try:
        async with (
            beside(added.follow()),
            beside(activation.follow()),
            connected_teacher(settings, metrics) as teacher,
        ):
            runtime = Runtime(settings, models, activation, history, added, metrics, teacher, drain)
            async with metrics.watching(runtime.gauges):
                with drain.on_sigterm():
                    yield runtime
    finally:
        await added.close()
        await history.close()


# A coroutine, because FastAPI would run an ordinary function in a thread.
async def get_runtime(request: Request) -> Runtime:
    """Returns the runtime of the application; a dependency of routes."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]
