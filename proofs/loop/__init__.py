"""Proves that the event log holds every click once, in order, and none of erased sessions.

MovieLens users replay their ratings as clicks, with clocks that end now, from several clients. Some
clicks are sent twice, some after their successor, and some sessions are erased at their end.
Meanwhile the service, the collector and Redis (`appendfsync always`) are killed with SIGKILL. Then
the log is compared with the input.

python -m proofs loop [--clicks N] [--kills N]
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.chaos.stack import SESSION_SECRET, RedisNode, ServiceProcess, free_ports, wait_until
from proofs.record import Figure
from service.access.principal import DEFAULT_TENANT
from service.stores.session_refs import session_ref
from training.cli import say
from training.data.sources.movielens import read_movielens
from training.events.log_folder import LogFolder
from training.events.reading import read_copies, read_events

_BUNDLE = Path(__file__).parents[2] / "assets" / "movielens" / "bundle"
_SPAN_MS = 20 * 86_400_000  # the ratings of twenty years become clicks of twenty days
_RESENT, _LATE, _ERASED = 0.1, 0.05, 0.02
_PATIENCE_SECONDS = 900
_FIRST_OF_ERRORS = 300
_NO_ANSWER = (OSError, HTTPException, ValueError)


@dataclass(frozen=True)
class Click:
    """A click of the input: its event id, its item, and its time in ms since 1970."""

    event_id: str
    item_id: str
    timestamp: int


@dataclass(frozen=True)
class Visit:
    """The clicks of a session in the order of their times, and whether it is erased at its end."""

    session_id: str
    clicks: Sequence[Click]
    is_erased: bool

    @property
    def ref(self) -> str:
        """Session ref of the session."""
        return session_ref(SESSION_SECRET, DEFAULT_TENANT, self.session_id)


def prove(
    *, clicks: int = 100_000, kills: int = 5, clients: int = 20, bundle: Path = _BUNDLE
) -> Iterator[Figure]:
    """Counts clicks that are lost, doubled or out of order, on a real Redis and without one.

    Args:
        clicks: number of clicks.
        kills: how often each process is killed.
        clients: number of clients that send at the same time.
        bundle: the served bundle.
    """
    for name, has_redis in (("redis", True), ("embedded", False)):
        with TemporaryDirectory() as folder:
            stack = Stack(Path(folder), bundle, has_redis=has_redis)
            try:
                visits = visits_of(clicks, random.Random(name))  # noqa: S311 - no secret
                began = time.monotonic()
                replay(visits, stack, kills, clients)
                rate = clicks / (time.monotonic() - began)
                stack.collect_the_rest()
                yield Figure(f"{name} clicks", "clicks a second", rate)
                yield from compared(name, visits, stack.log)
            finally:
                stack.end()


def visits_of(num_clicks: int, chance: random.Random) -> list[Visit]:
    """Makes visits of MovieLens' users, with about `num_clicks` clicks together."""
    raw = read_movielens()
    assert raw.timestamps is not None  # noqa: S101 - MovieLens has them
    newest, span = int(raw.timestamps.max()), int(raw.timestamps.max() - raw.timestamps.min())
    now = int(time.time() * 1000)
    visits: list[Visit] = []
    offsets = raw.user_offsets
    for user in range(len(raw.user_ids)):
        rows = range(offsets[user], offsets[user + 1])[:num_clicks]
        if not rows:
            break
        moments = [now - (newest - int(raw.timestamps[row])) * _SPAN_MS // span for row in rows]
        times = _rising(moments, now)
        clicks = [
            Click(f"{user}-{number}", raw.catalog.item_ids[raw.item_indices[row] - 1], at)
            for number, (row, at) in enumerate(zip(rows, times, strict=True))
        ]
        visits.append(Visit(f"user{user}", clicks, chance.random() < _ERASED or user == 1))
        num_clicks -= len(clicks)
    return visits


def _rising(moments: Sequence[int], now: int) -> list[int]:
    """Returns the moments, moved back so that each is at least 1 ms after the one before it."""
    latest, rising = now + 1, []
    for moment in reversed(moments):
        latest = min(moment, latest - 1)
        rising.append(latest)
    return rising[::-1]


class Stack:
    """A service with its event log, a Redis or none, and a collector; each can be killed."""

    def __init__(self, folder: Path, bundle: Path, *, has_redis: bool) -> None:
        ports = free_ports()
        self.log = LogFolder(str(folder / "log"))
        self.redis = None
        settings = {"EVENT_LOG": "on", "EVENT_LOG_PATH": str(folder / "segments")}
        if has_redis:
            port = next(ports)
            self.redis = RedisNode(folder / "redis", port, "--appendfsync", "always")
        url = f"redis://127.0.0.1:{self.redis.port}" if self.redis else ""
        self.service = ServiceProcess(bundle, url, next(ports), **settings)
        source = ["--redis-url", url] if url else ["--segments", settings["EVENT_LOG_PATH"]]
        self._command = [sys.executable, "-m", "distilled_recommender", "collect", *source]
        self._command.append(self.log.address)
        self.start_collector()

    def start_collector(self) -> None:
        """Starts a collector that writes often."""
        options = ["--flush-seconds", "0.5", "--claim-seconds", "3", "--compact-minutes", "0.2"]
        self.collector = subprocess.Popen([*self._command, *options], stdout=subprocess.DEVNULL)

    def kill(self, name: str) -> None:
        """Kills one of the processes with SIGKILL, and starts it again."""
        if name == "collector":
            self.collector.kill()
            self.collector.wait()
            self.start_collector()
        elif name == "redis" and self.redis:
            self.redis.kill()
            self.redis.start()
        elif name == "service":
            self.service.kill()
            self.service.start()

    def collect_the_rest(self) -> None:
        """Stops service and collector, and collects what they have left."""
        self.collector.terminate()
        self.collector.wait(_PATIENCE_SECONDS)
        self.service.end()
        command = [*self._command, "--once", "--claim-seconds", "0"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def end(self) -> None:
        """Kills what still runs."""
        self.collector.kill()
        self.collector.wait()
        self.service.kill()
        if self.redis:
            self.redis.kill()


def replay(visits: Sequence[Visit], stack: Stack, kills: int, clients: int) -> None:
    """Sends all clicks from several clients, and kills processes at random moments meanwhile."""
    progress = Progress()
    threads = [
        threading.Thread(
            target=Client(stack.service.port, progress).send, args=(visits[n::clients],)
        )
        for n in range(clients)
    ]
    chance = random.Random(len(visits))  # noqa: S311 - no secret
    total = sum(len(visit.clicks) for visit in visits)
    names = ["service", "collector", *(["redis"] if stack.redis else [])] * kills
    moments = sorted((chance.uniform(0.05, 0.95) * total, name) for name in names)
    for thread in threads:
        thread.start()
    for moment, name in moments:
        wait_until(partial(progress.reached, moment), _PATIENCE_SECONDS)
        stack.kill(name)
        say(f"killed {name} after {progress.acknowledged:,} of {total:,} clicks")
    for thread in threads:
        thread.join()


@dataclass
class Progress:
    """Number of clicks that were acknowledged; clients count at the same time."""

    acknowledged: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reached(self, clicks: float) -> bool:
        """Returns whether so many clicks were acknowledged."""
        return self.acknowledged >= clicks

    def count(self) -> None:
        """Counts one click."""
        with self._lock:
            self.acknowledged += 1


class Client:
    """Sends the clicks of visits, each until it is acknowledged as logged."""

    def __init__(self, port: int, progress: Progress) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._progress = progress
        self._chance = random.Random(port)  # noqa: S311 - no secret

    def send(self, visits: Sequence[Visit]) -> None:
        """Sends all clicks of each visit, and erases those sessions that shall be."""
        for visit in visits:
            path = f"/v1/sessions/{visit.session_id}"
            for click in self._in_order_of_sending(visit.clicks):
                times = 2 if self._chance.random() < _RESENT else 1
                for _ in range(times):
                    self._until_logged(f"{path}/events", click)
                self._progress.count()
            if visit.is_erased:
                while self._ask("DELETE", path) is None:
                    time.sleep(0.05)
        self._connection.close()

    def _in_order_of_sending(self, clicks: Sequence[Click]) -> Sequence[Click]:
        """Returns the clicks with some of them after their successor."""
        order = list(clicks)
        for place in range(len(order) - 1):
            if self._chance.random() < _LATE:
                order[place], order[place + 1] = order[place + 1], order[place]
        return order

    def _until_logged(self, path: str, click: Click) -> None:
        event = {
            "event_id": click.event_id,
            "item_id": click.item_id,
            "timestamp": click.timestamp,
        }
        while True:
            answer = self._ask("POST", path, json.dumps(event))
            if answer is not None and answer.get("logged"):
                return
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: str | None = None) -> Mapping[str, object] | None:
        """Returns the answer to a request; None if it failed."""
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            content = response.read()
            found: Mapping[str, object] = json.loads(content) if content else {}
        except _NO_ANSWER:
            with suppress(OSError):
                self._connection.close()
            return None
        return found if response.status < _FIRST_OF_ERRORS else None


def compared(name: str, visits: Sequence[Visit], log: LogFolder) -> Iterator[Figure]:
    """Compares the log with the input; yields what is lost, doubled, reordered and left."""
    events = read_events(log)
    found: dict[str, list[str]] = defaultdict(list)
    columns = (events[name].to_pylist() for name in ("session_ref", "event_id"))
    for ref, event_id in zip(*columns, strict=True):
        found[ref].append(event_id)
    kept = {
        visit.ref: [click.event_id for click in visit.clicks]
        for visit in visits
        if not visit.is_erased
    }
    erased = {visit.ref for visit in visits if visit.is_erased}
    yield Figure(f"{name} events in the log", "events", len(events))
    lost = sum(len(set(ids) - set(found[ref])) for ref, ids in kept.items())
    yield Figure(f"{name} lost", "clicks", lost, at_most=0)
    doubled = len(events) - sum(len(set(ids)) for ids in found.values())
    yield Figure(f"{name} doubled", "clicks", doubled, at_most=0)
    strangers = sum(len(set(ids) - set(kept.get(ref, ()))) for ref, ids in found.items())
    yield Figure(f"{name} that were not sent or are erased", "clicks", strangers, at_most=0)
    reordered = sum(found[ref] != ids for ref, ids in kept.items())
    yield Figure(f"{name} out of order", "sessions", reordered, at_most=0)
    left = sum(ref in erased for ref in read_copies(log, "event")["session_ref"].to_pylist())
    yield Figure(f"{name} rows of {len(erased)} erased sessions", "rows", left, at_most=0)
