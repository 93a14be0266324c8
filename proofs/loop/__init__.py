"""Proves that the event log holds every click once, in order, and none of erased sessions.

MovieLens users replay their ratings as clicks, with clocks that end now, from several clients. Some
clicks are sent twice, some after their successor, and some sessions are erased at their end.
Meanwhile the service, the collector and Redis (`appendfsync always`) are killed with SIGKILL. Then
the log is compared with the input. Redis is a single one, then a cluster of three nodes, which are
killed in turn; then there is none, and the service keeps its events in files.

python -m proofs loop [--clicks N] [--kills N] [--store NAME]
"""

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.loop.replay import replay
from proofs.loop.stack import STORES, running_stack
from proofs.loop.visits import Visit, visits_of
from proofs.record import Figure
from training.events.log_folder import LogFolder
from training.events.reading import read_copies, read_events

_BUNDLE = Path(__file__).parents[2] / "assets" / "movielens" / "bundle"


def prove(
    *,
    clicks: int = 100_000,
    kills: int = 5,
    clients: int = 20,
    bundle: Path = _BUNDLE,
    store: Sequence[str] = STORES,
) -> Iterator[Figure]:
    """Counts clicks that are lost, doubled or out of order, by the store of the events.

    Args:
        clicks: number of clicks.
        kills: how often each process is killed.
        clients: number of clients that send at the same time.
        bundle: the served bundle.
        store: stores of the events, of `redis`, `cluster` and `embedded`.
    """
    for name in store:
        with TemporaryDirectory() as folder, running_stack(Path(folder), bundle, name) as stack:
            visits = visits_of(clicks, random.Random(name))  # noqa: S311 - no secret
            began = time.monotonic()
            replay(visits, stack, kills, clients)
            rate = clicks / (time.monotonic() - began)
            stack.collect_the_rest()
            yield Figure(f"{name} clicks", "clicks a second", rate)
            yield from compared(name, visits, stack.log)


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
