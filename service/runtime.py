"""The objects that routes use, opened when the service starts and closed when it ends."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client.core import GaugeMetricFamily

from service.access.access import Access
from service.access.rate_limits import RateLimits
from service.access.route_table import RouteTable
from service.admission.admission import Admission
from service.admission.costs import Cost
from service.background import in_background
from service.bundles.added_items import AddedItems
from service.bundles.bulk_changes import BulkChanges
from service.bundles.checking import checks_of
from service.bundles.hot_swap import HotSwap, WhileLoading, open_variants
from service.bundles.item_edits import ItemEdits
from service.bundles.mirrors import copy_missing, follow_addresses, mirrors_of
from service.bundles.opened_items import opened_items
from service.bundles.variants import ServedVariant, ServedVariants
from service.errors import InvalidRequestError, NoTeacherError
from service.events.impressions import Audience, Impressions
from service.events.intake import EventIntake
from service.events.opening import opened_events
from service.experiments.comparison import ExperimentFile
from service.experiments.live_gauges import LiveGauges
from service.http.draining import Drain
from service.popularity.opening import opened_popularity
from service.popularity.popularity import Popularity
from service.ranking.micro_batcher import MicroBatcher
from service.ranking.recommender import Query, Recommendations
from service.settings import Settings
from service.stores.event_log.protocol import NoteNew
from service.stores.history.guarded import GuardedHistory
from service.stores.history.protocol import Session
from service.stores.opening import open_shared_limits
from service.stores.session_refs import SessionRefs
from service.teacher.connection import Teacher, connected_teacher
from service.teacher.slow_path import SlowPath
from service.telemetry.logs import logs_fail
from service.telemetry.metrics import Metrics


@dataclass
class Runtime:
    """The objects of a running service that routes use.

    Attributes:
        settings: the settings of the service.
        variants: the served variants and their recommenders.
        hot_swap: replaces the bundles in `variants`.
        session_refs: makes the names under which `history` stores sessions.
        history: the history store, behind a circuit breaker.
        added_items: adds items to the catalogs in `variants`.
        item_edits: hides and edits items of the catalogs in `variants`.
        metrics: the Prometheus metrics of this worker.
        teacher: the connected teacher; None if TEACHER_URL is unset.
        drain: the drain of this worker after SIGTERM.
        access: authentication and rate limits.
        admission: accepts or refuses requests, depending on the work in progress.
        intake: makes the events to store from those that clients send.
        impressions: gives answers their ids, and logs what was shown.
        experiments: live figures of the variants; None if EXPERIMENTS_PATH is unset.
        live_gauges: gauges of the live figures.
        popularity: counts new events and ranks by them; None: no events are counted.
        micro_batcher: ranks requests that are ready at the same time in one inference.
        bulk_changes: makes many changes of items.
    """

    settings: Settings
    variants: ServedVariants
    hot_swap: HotSwap
    session_refs: SessionRefs
    history: GuardedHistory
    added_items: AddedItems
    item_edits: ItemEdits
    metrics: Metrics
    teacher: Teacher | None
    drain: Drain
    access: Access
    admission: Admission
    intake: EventIntake
    impressions: Impressions
    experiments: ExperimentFile | None
    live_gauges: LiveGauges
    popularity: Popularity | None
    micro_batcher: MicroBatcher = field(default_factory=MicroBatcher)
    bulk_changes: BulkChanges = field(init=False)

    def __post_init__(self) -> None:
        """Makes the parts that need others."""
        self.bulk_changes = BulkChanges(self.added_items, self.item_edits, self._embed)

    async def _embed(self, titles: Sequence[str]) -> Sequence[Sequence[float]]:
        """Asks the teacher to embed titles; raises TeacherUnavailableError."""
        return await self.slow_path.embed(titles)

    def check_k(self, k: int, field: str = "k") -> None:
        """Raises InvalidRequestError, which names `field`, if `k` is more than MAX_K."""
        if k > self.settings.max_k:
            raise InvalidRequestError(field, f"must be at most {self.settings.max_k}, not {k}")

    def session(self, session_id: str, tenant: str) -> Session:
        """Returns the current and the former names of a tenant's session in `history`."""
        return self.session_refs.of(session_id, tenant)

    def user_ref(self, user_id: str | None, tenant: str) -> str | None:
        """Returns the user ref (a pseudonym) of a tenant's user; None if `user_id` is None."""
        return None if user_id is None else self.session_refs.of_user(user_id, tenant)[0]

    def audience(
        self, session_id: str | None, tenant: str, query: Query, *, consent: bool
    ) -> Audience | None:
        """Returns the receiver of an answer, for its impression; None if there is no impression.

        `consent`: whether the user agrees to being logged; False: there is no impression.
        """
        if not consent or not self.impressions.is_on:
            return None
        ref = None if session_id is None else self.session(session_id, tenant).ref
        return Audience(tenant, ref, query)

    @property
    def slow_path(self) -> SlowPath:
        """The SlowPath to the connected teacher; raises NoTeacherError if there is no teacher."""
        if self.teacher is None:
            raise NoTeacherError
        return self.teacher.slow_path

    def offer_to_shadow(
        self, served: ServedVariant, query: Query, recommendations: Recommendations
    ) -> None:
        """Offers an answer to shadow traffic, without waiting for the teacher.

        Does nothing if no teacher is connected, or if the query has rules, because the teacher
        ignores rules.
        """
        if self.teacher and query.rules is None:
            self.teacher.shadow.offer(served.recommender, query, recommendations)

    @property
    def is_teacher_lost(self) -> bool:
        """Whether a teacher is connected and its circuit breaker is open."""
        return self.teacher is not None and self.teacher.slow_path.is_lost

    def gauges(self) -> Iterator[GaugeMetricFamily]:
        """Yields gauges with their current values, such as served bundles and lost backends."""
        yield from self.variants.gauges()
        yield from self.admission.gauges()
        yield from self.live_gauges
        for name, text, value in (
            (
                "history_lost",
                "1 while the history store, or a part of it, is lost.",
                self.history.is_lost,
            ),
            (
                "history_writes_failing",
                "1 while the history store does not store events.",
                self.history.writes_fail,
            ),
            (
                "history_last_write_timestamp_seconds",
                "Unix time of the last event that was stored; 0: none since the start.",
                self.history.last_write_at,
            ),
            (
                "keys_file_refused",
                "1 while KEYS_FILE is broken and the keys that were read before are valid.",
                self.access.authentication.is_file_refused,
            ),
            (
                "history_journalled_events",
                "Number of journalled events not stored yet, those of ended workers too.",
                self.history.num_journalled,
            ),
            (
                "history_rejected_events",
                "Number of journalled events set aside, since Redis can never store them.",
                self.history.num_set_aside,
            ),
            (
                "event_counts_failing",
                "1 while events cannot be counted, or their counts cannot be read.",
                self.popularity is not None and self.popularity.is_failing,
            ),
            ("teacher_lost", "1 while the teacher is lost.", self.is_teacher_lost),
            ("logs_failing", "1 while log lines cannot be written.", logs_fail()),
            ("added_items", "Number of items added at run time.", len(self.added_items)),
            ("edited_items", "Number of items hidden or edited.", len(self.item_edits)),
        ):
            yield GaugeMetricFamily(f"recommender_{name}", text, value=float(value))


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    metrics: Metrics,
    drain: Drain,
    access: Access,
    while_loading: WhileLoading,
    costs: RouteTable[Cost],
) -> AsyncIterator[Runtime]:
    """Opens the runtime: reads the keys, loads the bundles, opens the stores, connects the teacher.

    While the context is open, background tasks load changed keys, new bundles, and changes of
    items. Bundles are loaded within the context manager that `while_loading` returns.

    Raises:
        BundleError: a bundle cannot be served.
        KeysFileError: the file of API keys cannot be used.
    """
    async with (
        _followed_keys(access),
        _served_bundles(settings, while_loading) as (variants, hot_swap),
        opened_items(settings, variants) as items,
        opened_popularity(settings, variants) as popularity,
        opened_events(settings, metrics, _noting(popularity)) as (intake, history, impressions),
        _shared_limits(settings, access.limits),
        connected_teacher(settings, metrics) as teacher,
        _live_figures(settings, variants) as live_figures,
    ):
        waiting = partial(_num_waiting, history, metrics, popularity)
        admission = Admission(settings, costs, variants.num_items, metrics, waiting, access)
        runtime = Runtime(
            settings,
            variants,
            hot_swap,
            SessionRefs(settings),
            history,
            *items,
            metrics,
            teacher,
            drain,
            access,
            admission,
            intake,
            impressions,
            *live_figures,
            popularity,
            MicroBatcher(admission.is_refusing_light),
        )
        async with metrics.watching(runtime.gauges):
            with drain.on_sigterm():
                yield runtime


def _noting(popularity: Popularity | None) -> NoteNew:
    return popularity.counts.note if popularity is not None else lambda _: None


def _num_waiting(history: GuardedHistory, metrics: Metrics, popularity: Popularity | None) -> int:
    """Returns the number of requests that wait for histories, metrics or counts of events."""
    counts = 0 if popularity is None else popularity.waiting
    return history.waiting() + metrics.reader.waiting + counts


@asynccontextmanager
async def _followed_keys(access: Access) -> AsyncIterator[None]:
    """Context manager: reads the file of API keys, and reads it again whenever it changes.

    Raises:
        KeysFileError: the file cannot be used.
    """
    access.authentication.load()
    async with in_background(access.authentication.follow()):
        yield


@asynccontextmanager
async def _live_figures(
    settings: Settings, variants: ServedVariants
) -> AsyncIterator[tuple[ExperimentFile | None, LiveGauges]]:
    """Yields the file of live figures (None: EXPERIMENTS_PATH is unset) and its gauges."""
    path = settings.experiments_path
    file = None if path is None else ExperimentFile(path)
    async with LiveGauges(file, variants.control.name).followed() as gauges:
        yield file, gauges


@asynccontextmanager
async def _served_bundles(
    settings: Settings, while_loading: WhileLoading
) -> AsyncIterator[tuple[ServedVariants, HotSwap]]:
    """Context manager: loads the bundles of all variants, and yields variants and hot swap.

    While the context is open, background tasks follow the variants' paths and addresses.
    `while_loading`: returns the context manager within which bundles are loaded.

    Raises:
        BundleError: a bundle cannot be served.
    """
    mirrors = mirrors_of(settings)
    await copy_missing(mirrors)
    checks, max_k, seconds = checks_of(settings), settings.max_k, settings.bundles_poll_seconds
    with while_loading():
        variants = open_variants(settings.served_variants, max_k, checks)
    hot_swap = HotSwap(variants, max_k, seconds, while_loading, checks)
    async with (
        in_background(hot_swap.follow()),
        in_background(follow_addresses(variants, mirrors, seconds)),
    ):
        yield variants, hot_swap


@asynccontextmanager
async def _shared_limits(settings: Settings, limits: RateLimits) -> AsyncIterator[None]:
    """Context manager: shares `limits` with other workers through Redis, then closes its client.

    Does nothing unless KEYS_FILE and REDIS_URL are set.
    """
    redis = open_shared_limits(settings) if settings.keys_file is not None else None
    if redis is None:
        yield
        return
    limits.share(redis.execute_command)
    try:
        yield
    finally:
        await redis.aclose()


# A coroutine, because FastAPI would run an ordinary function in a thread.
async def get_runtime(request: Request) -> Runtime:
    """FastAPI dependency: returns the runtime of the application."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]
