"""Opens the parts of the service that handle events: histories, event log, impressions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from service.background import in_background
from service.events.ids import SortableIds
from service.events.impressions import Impressions
from service.events.intake import EventIntake
from service.settings import Settings
from service.stores.event_log.disk_log import DiskLog
from service.stores.event_log.protocol import NoteNew
from service.stores.event_log.redis_log import RedisLog
from service.stores.history.guarded import GuardedHistory
from service.stores.opening import open_event_log, open_history
from service.telemetry.metrics import Metrics


class EventParts(NamedTuple):
    """The parts of a running service that handle events.

    Attributes:
        intake: makes the events to store from those that clients send.
        history: stores events in the history of their session, and in the event log.
        impressions: gives answers their ids, and logs what was shown.
    """

    intake: EventIntake
    history: GuardedHistory
    impressions: Impressions


@asynccontextmanager
async def opened_events(
    settings: Settings, metrics: Metrics, note_new: NoteNew
) -> AsyncIterator[EventParts]:
    """Opens the parts that handle events, and closes them at the end of the context.

    While the context is open, background tasks probe the history store, take over journals, replay
    them and write impressions. `note_new`: called for each event with a text for the log that is
    stored for the first time.
    """
    log = open_event_log(settings)
    history = open_history(settings, log, metrics.count_left_out, note_new)
    ids = SortableIds()
    impressions = Impressions(ids, log, settings.impressions, metrics.count_left_out)
    try:
        async with (
            in_background(history.follow()),
            in_background(history.follow_journal()),
            _kept_log(log, impressions),
        ):
            yield EventParts(EventIntake(settings, ids), history, impressions)
    finally:
        await history.close()


@asynccontextmanager
async def _kept_log(
    log: DiskLog | RedisLog | None, impressions: Impressions
) -> AsyncIterator[None]:
    """Context manager: writes impressions to `log`, and runs the log's background task.

    At the end of the context, writes the waiting impressions. If `log` is None, does nothing.
    """
    if log is None:
        yield
        return
    try:
        async with in_background(impressions.follow()), in_background(log.follow()):
            yield
    finally:
        await impressions.write()
        if isinstance(log, RedisLog):  # the history store closes a DiskLog
            await log.close()
