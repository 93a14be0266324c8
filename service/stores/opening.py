"""Opens the stores that the settings choose: histories, items, edits, event log and counts.

With REDIS_URL, all are in Redis. Without it, histories and counts are in memory and the others in
files.
"""

from functools import partial
from typing import Any

from pydantic import SecretStr

from service.settings import Settings
from service.stores.counts.memory import MemoryCountStore
from service.stores.counts.protocol import CountStore
from service.stores.counts.redis_store import RedisCountStore
from service.stores.event_log.disk_log import DiskLog
from service.stores.event_log.protocol import CountLeftOut, NoteNew
from service.stores.event_log.redis_log import RedisLog, stream_bounds
from service.stores.history.cluster_store import ClusterHistoryStore
from service.stores.history.guarded import GuardedHistory
from service.stores.history.journal import Journal
from service.stores.history.journalled import JournalledEvents
from service.stores.history.memory import InMemoryHistoryStore
from service.stores.history.protocol import Retention
from service.stores.history.redis_store import RedisHistoryStore
from service.stores.items.edits import ItemEdit, ItemEditStore
from service.stores.items.file_store import FileAddedItemStore, FileItemStore
from service.stores.items.protocol import AddedItemStore
from service.stores.items.redis_store import RedisAddedItemStore, RedisItemStore
from service.stores.redis_client import (
    RedisClient,
    RedisCommands,
    connect_cluster,
    connect_redis,
    connect_shared,
)
from service.stores.traced_redis import TracedRedis

# Longer than for requests, since no request waits for these commands: reading all added items takes
# longer, and a late reply must not make a replay of the journal begin again.
_BACKGROUND_TIMEOUT_SECONDS = 5.0


def open_item_store(settings: Settings) -> AddedItemStore:
    """Opens the store of added items; a Redis store connects at its first command."""
    if settings.redis_url is None:
        return FileAddedItemStore(settings.items_path, settings.max_added_items)
    client = _connect_for_items(settings, settings.redis_url)
    return RedisAddedItemStore(client, settings.max_added_items)


def open_edit_store(settings: Settings) -> ItemEditStore:
    """Opens the store of edits of items; a Redis store connects at its first command.

    Without Redis, the edits are in a file beside the file of the added items.
    """
    if settings.redis_url is None:
        path = settings.items_path.with_name(f"edits-of-{settings.items_path.name}")
        return FileItemStore(path, settings.max_edited_items, ItemEdit)
    client = _connect_for_items(settings, settings.redis_url)
    return RedisItemStore(client, settings.max_edited_items, ItemEdit)


def open_event_log(settings: Settings) -> DiskLog | RedisLog | None:
    """Opens the event log; returns None with EVENT_LOG=off.

    A log in Redis connects at its first command.
    """
    if settings.event_log == "off":
        return None
    if settings.redis_url is None:
        return DiskLog(settings.event_log_path, settings.event_log_max_bytes)
    client = connect_redis(
        settings.redis_url.get_secret_value(),
        timeout_seconds=_BACKGROUND_TIMEOUT_SECONDS,
        max_connections=1,
        is_cluster=settings.redis_cluster,
    )
    return RedisLog(client, settings.event_log_max_bytes)


def open_history(
    settings: Settings,
    log: DiskLog | RedisLog | None,
    count_left_out: CountLeftOut,
    note_new: NoteNew = lambda _: None,
) -> GuardedHistory:
    """Opens the store of session histories; a Redis store connects at its first command.

    Args:
        settings: the settings of the service, which choose the store.
        log: the event log, to which a store in memory writes. A store in Redis does not use it, and
            writes to the same streams in its own scripts.
        count_left_out: called with kind, reason and number of events that are left out of the log.
        note_new: called for each event with a text for the log that is stored for the first time.
    """
    pause_seconds = settings.redis_pause_seconds
    if settings.redis_url is None:
        disk_log = log if isinstance(log, DiskLog) else None
        store = InMemoryHistoryStore(
            _retention(settings), settings.max_sessions, log=disk_log, note_new=note_new
        )
        return GuardedHistory(store, pause_seconds, count_left_out=count_left_out, keeps_order=True)
    wait_seconds = settings.redis_timeout_seconds
    redis_store = _open_redis_store(settings, settings.redis_url, wait_seconds, note_new)
    guarded = partial(
        GuardedHistory,
        redis_store,
        pause_seconds,
        count_left_out=count_left_out,
        wait_seconds=wait_seconds,
    )
    if settings.store_outage == "refuse":
        return guarded()
    journalled = JournalledEvents(
        Journal(settings.journal_path, settings.journal_max_bytes),
        _open_redis_store(settings, settings.redis_url, _BACKGROUND_TIMEOUT_SECONDS, note_new),
        count_left_out,
    )
    return guarded(journal=journalled)


def _connect_for_items(settings: Settings, url: SecretStr) -> RedisClient:
    return connect_redis(
        url.get_secret_value(),
        timeout_seconds=_BACKGROUND_TIMEOUT_SECONDS,
        max_connections=2,
        is_cluster=settings.redis_cluster,
    )


def _retention(settings: Settings) -> Retention:
    return Retention(
        settings.max_session_length,
        settings.session_ttl_seconds,
        settings.event_id_window_seconds,
    )


def _open_redis_store(
    settings: Settings, url: SecretStr, timeout_seconds: float, note_new: NoteNew
) -> RedisHistoryStore:
    options: dict[str, Any] = {
        "has_journals": settings.store_outage == "journal",
        "log": stream_bounds(settings.event_log_max_bytes) if settings.event_log == "on" else None,
        "note_new": note_new,
        "wait_seconds": timeout_seconds,
    }
    retention, address = _retention(settings), url.get_secret_value()
    if settings.redis_cluster:
        cluster = connect_cluster(address, timeout_seconds=timeout_seconds)
        return ClusterHistoryStore(
            _traced(settings, cluster), retention, cluster.node_of, **options
        )
    redis = connect_shared(address, timeout_seconds=timeout_seconds)
    return RedisHistoryStore(_traced(settings, redis), retention, **options)


def open_shared_limits(settings: Settings) -> RedisCommands | None:
    """Returns a client of the Redis in which workers share the rates and quotas of API keys.

    Returns None if REDIS_URL is unset.
    """
    if settings.redis_url is None:
        return None
    return _connect_shared(settings, settings.redis_url, settings.redis_timeout_seconds)


def open_count_store(settings: Settings) -> CountStore | None:
    """Opens the store of counts; a store in Redis connects at its first command.

    Returns None if no events are counted, with EVENT_LOG=off or COUNTED_ITEMS=0.
    """
    if settings.event_log == "off" or not settings.counted_items:
        return None
    if settings.redis_url is None:
        return MemoryCountStore(settings.counted_items)
    redis = _connect_shared(settings, settings.redis_url, _BACKGROUND_TIMEOUT_SECONDS)
    return RedisCountStore(redis, settings.counted_items)


def _connect_shared(settings: Settings, url: SecretStr, timeout_seconds: float) -> RedisCommands:
    connect = connect_cluster if settings.redis_cluster else connect_shared
    return _traced(settings, connect(url.get_secret_value(), timeout_seconds=timeout_seconds))


def _traced(settings: Settings, redis: RedisCommands) -> RedisCommands:
    return TracedRedis(redis) if settings.tracing else redis
