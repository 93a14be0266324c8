"""Proves that replicas follow a bundle on an object store, and no request fails meanwhile.

Two services with a common Redis follow one address of a store that speaks S3 (moto's server). Under
load on both, bundles are published there, one round after the other. Between them one publisher's
upload is torn, and one loses the race for the pointer.

python -m proofs replicas [--rounds N] [--rate N]
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any, cast
from unittest.mock import patch

import httpx
import numpy as np
from cyclopts import Parameter

from export.contract.addresses.object_store import LostRaceError, ObjectStore
from export.contract.addresses.opening import open_store
from export.contract.addresses.publishing import publish_at
from export.contract.bundle import load_bundle
from proofs.fixtures.data.versions import version_of_example
from proofs.fixtures.load.visitors import Load
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.service import ServiceProcess
from proofs.fixtures.processes.waiting import free_port, wait_until
from proofs.record import Figure
from proofs.replicas.store import TORN, Raced, Torn, s3_store

NUM_REPLICAS = 2
FOLLOW_SECONDS = 5.0
"""Time in which a published bundle is served by all replicas.

The pointer is read each second, and so is the copy of the bundle; the rest is for copy and check.
"""


class Shop:
    """Services that follow one address, and what was published there.

    Attributes:
        services: the services.
        seconds: time from each publish until all services have served it.
        num_torn: number of torn uploads that all have refused, by the hash of the file.
        num_lost: number of publishers that were told of a lost race.
    """

    def __init__(self, address: str, folder: Path) -> None:
        """Publishes a first bundle at the address.

        `folder`: for bundles and copies.
        """
        self._store, self._folder, self._num_versions = open_store(address), folder, 0
        self.seconds: list[float] = []
        self.num_torn = self.num_lost = 0
        self.services: list[ServiceProcess] = []
        publish_at(self._store, self._next())

    def start_replica(self, redis_url: str) -> ServiceProcess:
        """Starts one more service, and waits until it is ready."""
        cache = self._folder / f"cache-{len(self.services)}"
        service = ServiceProcess(
            self._folder / "unused",
            redis_url,
            free_port(),
            BUNDLE=self._store.address,
            BUNDLE_CACHE_PATH=str(cache),
        )
        self.services.append(service)
        return service

    def publish(self) -> None:
        """Publishes another bundle, and waits until both services serve it."""
        self._publish_and_wait(self._next())

    def tear(self) -> None:
        """Publishes a bundle whose upload is torn, and waits until both services refuse it."""
        bundle = self._next()
        publish_at(cast("ObjectStore", Torn(self._store)), bundle)
        reason = f"{_version(bundle)}/{TORN}: sha256 is"
        wait_until(lambda: all(reason in str(each["refused"]) for each in self._variants()))
        self.num_torn += 1

    def race(self) -> None:
        """Publishes two bundles at once, of which the second publisher must be refused."""
        first, second = self._next(), self._next()
        raced = Raced(self._store, lambda: self._publish_and_wait(first))
        with suppress(LostRaceError):
            publish_at(cast("ObjectStore", raced), second)
            raise RuntimeError(f"{second} was published over {first}")
        self.num_lost += 1

    def _publish_and_wait(self, bundle: Path) -> None:
        began = time.monotonic()
        publish_at(self._store, bundle)
        version = _version(bundle)
        wait_until(lambda: all(each["bundle"] == version for each in self._variants()))
        self.seconds.append(time.monotonic() - began)

    def _variants(self) -> Sequence[dict[str, Any]]:
        """Returns what each service tells of the bundle that it follows."""
        urls = [f"http://127.0.0.1:{each.port}/v1/model" for each in self.services]
        return [httpx.get(each, trust_env=False).json()["variants"][0] for each in urls]

    def _next(self) -> Path:
        """Makes another bundle; returns its folder."""
        self._num_versions += 1
        name = f"version-{self._num_versions}"
        return version_of_example(self._folder / name, name)


def _version(bundle: Path) -> str:
    return load_bundle(bundle).manifest.model_version


def prove(
    *,
    rounds: Annotated[int, Parameter(help="Bundles that are published, after the first.")] = 30,
    rate: Annotated[float, Parameter(help="Requests a second, to both services together.")] = 300,
) -> Iterator[Figure]:
    """Publish bundles under load, some of them torn or too late."""
    with TemporaryDirectory() as name, ExitStack() as parts:
        redis = RedisNode(Path(name) / "redis", free_port())
        parts.callback(redis.client.close)
        parts.callback(redis.kill)
        address, environment = parts.enter_context(s3_store())
        parts.enter_context(patch.dict(os.environ, environment))
        shop = Shop(address, Path(name))
        for _ in range(NUM_REPLICAS):  # each is ended, though the next does not start
            parts.callback(shop.start_replica(f"redis://127.0.0.1:{redis.port}").end)
        loads = [
            Load(each.port, rate / NUM_REPLICAS, f"replica{number}")
            for number, each in enumerate(shop.services)
        ]
        with loads[0], loads[1]:
            began = time.monotonic()
            for number in range(rounds):
                (shop.publish, shop.tear, shop.race)[number % 3]()
            seconds = time.monotonic() - began
    answers = [each for load in loads for each in load.answers]
    yield Figure("answers", "answers a second", len(answers) / seconds, at_least=0.9 * rate)
    failed = sum(each.status != 200 for each in answers)
    yield Figure("failed requests", "answers", failed, at_most=0)
    p99 = 1_000 * float(np.quantile([each.seconds for each in answers], 0.99))
    yield Figure("p99 of an answer", "ms", p99)
    yield from _shop_figures(shop, rounds)


def _shop_figures(shop: Shop, rounds: int) -> Iterator[Figure]:
    publishes, torn, raced = (len(range(first, rounds, 3)) for first in range(3))
    followed = len(shop.seconds)  # of two publishers at once, too, the first one is followed
    name = "bundles followed by both replicas"
    yield Figure(name, "bundles", followed, at_least=publishes + raced)
    yield Figure("from publish to both replicas, median", "s", median(shop.seconds))
    slowest = max(shop.seconds)
    yield Figure("from publish to both replicas, slowest", "s", slowest, at_most=FOLLOW_SECONDS)
    yield Figure("torn uploads refused by both", "bundles", shop.num_torn, at_least=torn)
    yield Figure("publishers told of a lost race", "publishers", shop.num_lost, at_least=raced)
