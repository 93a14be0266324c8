"""The service of the proof: two workers on one core, on a Redis, with light requests beside."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from benchmarks.load.workloads import SESSION_SECRET
from export.contract.bundles_folder import BundleLink
from proofs.fixtures.load.cores import one_core_each
from proofs.fixtures.load.requests import LIGHT, requests_of
from proofs.fixtures.load.streams import Stream, running
from proofs.fixtures.processes.service import serving
from proofs.live_items.sight import worker_clients
from service.settings import Settings

WORKERS = 2

MAX_KNOWN_SECONDS = 2 * float(Settings.model_fields["items_poll_seconds"].default)
"""Maximum time until a change is known to every worker.

It is the interval at which they look for changes, and as long again to read them and to ask all
routes on a core that answers the light requests too.
"""

_KEY = "an admin key of the proof of live items"
ADMIN = {"Authorization": f"Bearer {_KEY}"}


@dataclass(frozen=True)
class Running:
    """A running service.

    Attributes:
        clients: a client of each worker.
        light: the stream of light requests.
        processes: the processes of the service.
    """

    clients: Sequence[httpx.AsyncClient]
    light: Stream
    processes: Sequence[psutil.Process]

    def resident_mib(self) -> float:
        """Returns the resident memory of all processes, in MiB."""
        return sum(each.memory_info().rss for each in self.processes) / 2**20


@dataclass(frozen=True)
class Service:
    """The settings that the service is started with.

    Attributes:
        link: link to the served bundle.
        redis_port: TCP port of the Redis.
        teacher_port: TCP port of the teacher.
        rate: light requests a second.
        items: the objects in the lines of `items.jsonl`.
    """

    link: BundleLink
    redis_port: int
    teacher_port: int
    rate: float
    items: Sequence[Mapping[str, Any]]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Running]:
        """Runs the service and the light requests during a `with` block."""
        settings = {
            "BUNDLE_PATH": str(self.link.path),
            "WORKERS": str(WORKERS),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "REDIS_TIMEOUT_SECONDS": "5",
            "SESSION_SECRET": SESSION_SECRET,
            "TEACHER_URL": f"http://127.0.0.1:{self.teacher_port}",
            "ADMIN_KEY": _KEY,
            "MAX_EDITED_ITEMS": str(2 * len(self.items)),
        }
        async with AsyncExitStack() as stack:
            port, process = await stack.enter_async_context(serving(**settings))
            processes = [process, *process.children(recursive=True)]
            stack.enter_context(one_core_each(processes))
            clients = await stack.enter_async_context(worker_clients(port, WORKERS))
            requests = requests_of(self.link.path)[LIGHT]
            light = await stack.enter_async_context(running(Stream(port, requests), self.rate))
            yield Running(clients, light, processes)
