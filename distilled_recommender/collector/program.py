"""`distilled-recommender collect`: moves the service's event log to Parquet files.

The program runs until it is stopped or, with `--once`, until the source is empty:

distilled-recommender collect work/log --redis-url redis://localhost
distilled-recommender collect s3://bucket/log --segments event-log --once
distilled-recommender collect work/log --nats-url nats://localhost --nats-stream events
"""

import asyncio
import signal
import time
from typing import Annotated

from cyclopts import Parameter

from distilled_recommender.collector.collector import Collector, FlushLimits
from distilled_recommender.collector.redis_source import RedisSource
from distilled_recommender.collector.segment_source import SegmentSource
from distilled_recommender.collector.settings import DEFAULTS, CollectSettings
from distilled_recommender.collector.source import Source, SourceError
from service.stores.redis_client import connect_redis
from training.cli import say
from training.errors import ConfigError
from training.events.compaction import Report, compact
from training.events.log_folder import LogFolder

_POLL_SECONDS = 0.5
_PAUSE_SECONDS = 5.0  # after an error
_REPORT_SECONDS = 60.0
_REDIS_TIMEOUT_SECONDS = 30.0
_REDIS_CONNECTIONS = 8

LogAddress = Annotated[
    str,
    Parameter(
        help="Folder of the Parquet files, or an address such as s3://bucket/log.",
        env_var="COLLECT_LOG",
    ),
]
Once = Annotated[
    bool, Parameter(help="Collect all present entries, compact the log, and end.", negative="")
]


def command(
    log: LogAddress, /, *, once: Once = False, settings: CollectSettings = DEFAULTS
) -> None:
    """Move events from Redis, a disk or NATS to Parquet files, compact and erase there."""
    settings.check()
    folder = LogFolder(log)
    asyncio.run(_collect_once(folder, settings) if once else _collect(folder, settings))


def open_source(settings: CollectSettings) -> Source:
    """Opens the source that the settings name; Redis and NATS connect at the first command.

    Raises:
        ConfigError: the address of Redis is malformed, or the client of NATS is not installed.
    """
    if settings.segments is not None:
        return SegmentSource(settings.segments)
    if settings.nats_address is not None:
        return _open_nats(settings.nats_address, settings)
    try:
        client = connect_redis(
            settings.redis_address or "",
            timeout_seconds=_REDIS_TIMEOUT_SECONDS,
            max_connections=_REDIS_CONNECTIONS,
            is_cluster=settings.redis_cluster,
        )
    except ValueError as error:
        raise ConfigError(f"the address of Redis: {error}") from None
    return RedisSource(client, settings.claim_seconds)


def _open_nats(address: str, settings: CollectSettings) -> Source:
    try:
        from distilled_recommender.collector.nats_source import NatsSource, NatsStream
    except ImportError as error:
        raise ConfigError(
            f"--nats-url needs nats-py ({error}); install distilled-recommender[nats]"
        ) from None
    stream = NatsStream(
        address, settings.nats_stream, settings.nats_subject, settings.session_secret
    )
    return NatsSource(stream, settings.claim_seconds)


async def _collect_once(log: LogFolder, settings: CollectSettings) -> None:
    collector = _collector(log, settings)
    try:
        while await collector.step():
            pass
        await collector.flush()
    except (SourceError, OSError) as error:
        raise ConfigError(f"cannot collect: {error}") from error
    finally:
        await collector.source.aclose()
    say(
        f"{log.address}: {collector.num_written:,} records in {collector.num_files:,} new files"
        f"{_unreadable(collector)}"
    )
    say(_described(log, compact(log, settings.keep_days)))


async def _collect(log: LogFolder, settings: CollectSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    collector = _collector(log, settings)
    compacting = asyncio.create_task(_compact_often(log, settings))
    try:
        await _collect_until(stopping, collector)
    finally:
        compacting.cancel()
        await collector.source.aclose()


async def _collect_until(stopping: asyncio.Event, collector: Collector) -> None:
    reported_at, reported = time.monotonic(), 0
    while not stopping.is_set():
        found = await _attempt(collector, stopping)
        if (waited := time.monotonic() - reported_at) >= _REPORT_SECONDS:
            rate = (collector.num_written - reported) / waited
            say(
                f"{collector.num_written:,} records collected, {rate:.1f} a second"
                f"{_unreadable(collector)}"
            )
            reported_at, reported = time.monotonic(), collector.num_written
        if not found:
            await _wait(stopping, _POLL_SECONDS)
    try:
        await collector.flush()
    except (SourceError, OSError) as error:
        say(f"cannot collect now, the source keeps the last records: {error}")


async def _attempt(collector: Collector, stopping: asyncio.Event) -> bool:
    """Runs one step of the collector; returns whether a record was taken.

    If the source or the log cannot be reached, prints the error, pauses until `stopping` is set at
    the latest, and returns False.
    """
    try:
        return await collector.step()
    except (SourceError, OSError) as error:
        say(f"cannot collect now, trying again: {error}")
        await _wait(stopping, _PAUSE_SECONDS)
        return False


async def _compact_often(log: LogFolder, settings: CollectSettings) -> None:
    """Compacts the log in a thread every `compact_minutes`, while the collector goes on.

    Records older than `keep_days` are removed. If a compaction fails, prints the error; the next
    one tries again. Returns at once if `compact_minutes` is 0.
    """
    while settings.compact_minutes:
        await asyncio.sleep(settings.compact_minutes * 60)
        try:
            say(_described(log, await asyncio.to_thread(compact, log, settings.keep_days)))
        except Exception as error:
            say(f"cannot compact now, trying again: {error}")


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def _collector(log: LogFolder, settings: CollectSettings) -> Collector:
    limits = FlushLimits(settings.flush_records, settings.flush_seconds)
    return Collector(open_source(settings), log, limits, say)


def _unreadable(collector: Collector) -> str:
    count = collector.num_unreadable
    return f"; {count:,} entries not readable" if count else ""


def _described(log: LogFolder, report: Report) -> str:
    return (
        f"{log.address}: {report.files_before:,} files compacted to {report.files_after:,}; "
        f"{report.erased_events:,} events and {report.erased_impressions:,} impressions erased, "
        f"{report.expired_files:,} files expired"
    )
