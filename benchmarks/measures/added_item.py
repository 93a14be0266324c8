"""Measures the time from adding an item until two processes of the service recommend it.

One process receives the item in a request; the other process learns of it through Redis.
"""

import time
from collections.abc import Iterator, Mapping

import httpx
import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings
from benchmarks.subjects.processes import RunningProgram, running_redis, running_service
from benchmarks.subjects.subject import demo_workplace
from export.contract.bundle import Bundle, load_bundle
from service.ranking.student import Student

SEED = 0
HERE, ELSEWHERE = "recommended by whom it was posted to", "recommended by another process"
TIMEOUT_SECONDS = 30.0


def measure(options: Options) -> Findings:
    """Adds items to one of two processes, and waits until both recommend them.

    The two processes share a Redis.
    """
    bundle = load_bundle(demo_workplace(options).bundle)
    waits: dict[str, list[float]] = {HERE: [], ELSEWHERE: []}
    with (
        running_redis() as redis,
        running_service(bundle.folder, redis) as here,
        running_service(bundle.folder, redis) as elsewhere,
        httpx.Client(trust_env=False) as client,  # no proxy on the way to this machine
    ):
        for item in _new_items(bundle, options.pick(20, quick=5)):
            started = time.perf_counter()
            client.post(f"{_url(here)}/v1/items", json=item).raise_for_status()
            for name, process in ((HERE, here), (ELSEWHERE, elsewhere)):
                _wait_until_recommended(client, _url(process), item, bundle.items[0].item_id)
                waits[name].append(time.perf_counter() - started)
    return Findings(
        figures=tuple(
            Figure(name=name, unit="s", runs=tuple(seconds), at_most=1)
            for name, seconds in waits.items()
        ),
        conditions={"items": len(bundle.items), "bundle": "make smoke", "processes": 2},
    )


def _new_items(bundle: Bundle, count: int) -> Iterator[Mapping[str, object]]:
    """Yields `count` items to add; each has a value of the first attribute that no other item has.

    So a filter can allow the added item alone.
    """
    generator, size = np.random.default_rng(SEED), _embedding_size(bundle)
    attribute = next(iter(bundle.items[0].attributes))
    for number in range(count):
        direction = generator.standard_normal(size)
        yield {
            "item_id": f"posted-{number}",
            "title": f"Posted, part {number}",
            "embedding": (direction / np.linalg.norm(direction)).tolist(),
            "attributes": {attribute: [f"posted-{number}"]},
        }


def _embedding_size(bundle: Bundle) -> int:
    size = Student.of_bundle(bundle).embedding_size
    if size is None:
        raise BenchmarkError(f"{bundle.folder} has no item encoder; export a student that has one")
    return size


def _url(process: RunningProgram) -> str:
    return f"http://127.0.0.1:{process.port}"


def _wait_until_recommended(
    client: httpx.Client, url: str, item: Mapping[str, object], history_item: str
) -> None:
    # The filter allows only this item, so the item is the answer as soon as the process knows it.
    body = {"history": [history_item], "k": 1, "allow": item["attributes"]}
    deadline = time.perf_counter() + TIMEOUT_SECONDS
    while time.perf_counter() < deadline:
        answer = client.post(f"{url}/v1/recommendations", json=body).raise_for_status().json()
        if [each["item_id"] for each in answer["items"]] == [item["item_id"]]:
            return
    raise BenchmarkError(
        f"{url} does not recommend {item['item_id']} after {TIMEOUT_SECONDS:.0f} s"
    )
