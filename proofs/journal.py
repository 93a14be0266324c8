"""Proves that the journal stores each event that Redis could not take: once, and in order.

Redis is away under load. In the middle of that time, the service is killed with SIGKILL and started
again. A visitor sends its next event only when the last one was stored or journalled.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from proofs.fixtures.load.visitors import Load, event_figures
from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.service import ServiceProcess
from proofs.fixtures.processes.waiting import free_ports, wait_until
from proofs.record import Figure

_SECONDS_OF_NORMAL_LOAD = 2.0
_PATIENCE_SECONDS = 300


def prove(*, bundle: Path = EXAMPLE, rate: float = 300, seconds: float = 60) -> Iterator[Figure]:
    """Counts acknowledged events that are lost, doubled or out of order after Redis was away.

    Args:
        bundle: the served bundle.
        rate: requests a second.
        seconds: how many seconds Redis is away.
    """
    ports = free_ports()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as parts:
        redis, journal = RedisNode(Path(folder) / "redis", next(ports)), Path(folder) / "journal"
        parts.callback(redis.client.close)
        parts.callback(redis.kill)
        service = ServiceProcess(
            bundle,
            f"redis://127.0.0.1:{redis.port}",
            next(ports),
            STORE_OUTAGE="journal",
            JOURNAL_PATH=str(journal),
        )
        parts.callback(service.kill)
        with Load(service.port, rate) as load:
            _take_redis_away(redis, service, seconds)
            back = time.monotonic()
            time.sleep(_SECONDS_OF_NORMAL_LOAD)
        wait_until(lambda: not _waiting(journal), _PATIENCE_SECONDS)
        replayed = time.monotonic()
        yield from _figures(load, replayed - back)
        yield from event_figures("journal", load, redis.client)


def _take_redis_away(redis: RedisNode, service: ServiceProcess, seconds: float) -> None:
    time.sleep(_SECONDS_OF_NORMAL_LOAD)
    redis.kill()
    time.sleep(seconds / 2)
    service.kill()
    service.start()
    time.sleep(seconds / 2)
    redis.start()


def _waiting(journal: Path) -> bool:
    return any(journal.glob("*/*.log"))


def _figures(load: Load, seconds_to_replay: float) -> Iterator[Figure]:
    errors = sum(500 <= each.status < 599 for each in load.answers)  # 599: cut off by the kill
    yield Figure("journalled", "events", load.num_journalled, at_least=1)
    yield Figure("5xx", "answers", errors, at_most=0)
    yield Figure("replayed after", "s", seconds_to_replay)
