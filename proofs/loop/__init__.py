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
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from proofs.fixtures.choices import each_of
from proofs.fixtures.data.visits import compared, visits_of
from proofs.fixtures.places import EXAMPLE
from proofs.loop.replay import replay
from proofs.loop.stack import STORES, running_stack
from proofs.record import Figure


def prove(
    *,
    clicks: int = 100_000,
    kills: int = 5,
    clients: int = 20,
    bundle: Path = EXAMPLE,
    store: Annotated[Sequence[str], Parameter(validator=each_of(STORES))] = STORES,
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
