"""Proves that a damaged or crafted bundle is refused with a reason, or served without a 5xx.

Files are damaged at random. Then all hashes in the manifest are recomputed, as an attacker would.
Bundles with damaged text are loaded in this process. A damaged graph may crash onnxruntime, hang or
take all memory, so it is first loaded in the child process that the service uses.

python -m proofs bundles [--damages N] [--through-child N] [--seed N]
"""

import asyncio
import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from cyclopts import Parameter

from export.contract.bundle import Bundle, BundleError, BundleLayout
from proofs.fixtures.data.rehashed import rehash
from proofs.fixtures.data.ring_bundle import RING, ring_graph, save_ring_bundle
from proofs.record import Figure
from service.app import create_app
from service.bundles.checking import BundleChecks
from service.bundles.loading import load_recommender
from service.runtime import Runtime
from service.settings import Settings

REASON_SECONDS = 5
MAX_K = 20
TEXT_FILES = ("manifest.json", "items.jsonl", "histories.jsonl")
GRAPH_FILES = ("model.onnx", "item_encoder.onnx")
_NUMBERS = (None, True, -1, 0, 1, 2**53, 2**53 + 1, 2**63, 2**64, -(2**64), 10**400, 1.5)
_STRINGS = (
    *("", "a", "h", "\ud800", "\udfff", "\0", "\n", "a/b", "%2F", "x" * 300, "x" * 70_000),
    "é\u2028",
)
HOSTILE: tuple[Any, ...] = (
    *(*_NUMBERS, 1e308, -1e308),
    *_STRINGS,
    *([], {}, [[]], [None], {"a": None}, {"": [""]}, {"\ud800": ["x"]}, [1e308] * 9),
)
"""Values that damages put in the place of valid ones."""

Damage = Callable[[random.Random, Path], None]


@dataclass
class Outcomes:
    """Counts of the bundles tried so far by outcome (refused, served or failed), and all faults."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0
    faults: list[str] = field(default_factory=list)

    def add(self, kind: str, seconds: float, fault: str = "") -> None:
        """Counts one bundle with the outcome `kind`, which took `seconds`.

        `fault` says what is wrong with the outcome; it is empty if nothing is.
        """
        self.counts[kind] += 1
        self.slowest = max(self.slowest, seconds)
        if fault:
            self.faults.append(fault)


class Service:
    """A service in this process that serves the bundles to test, one after the other."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self._runtime = runtime
        self._client = client

    async def fault(self, folder: Path) -> str:
        """Serves the bundle in `folder` and sends requests of all kinds.

        Returns:
            The first request that is answered with a 5xx or an exception, as text; "" if there is
            none.

        Raises:
            BundleError: the bundle cannot be loaded.
        """
        recommender = load_recommender(folder, MAX_K)
        await self._runtime.variants.serve(self._runtime.variants.slots[0], recommender)
        for method, path, body in _requests(recommender.bundle):
            try:
                response = await self._client.request(method, path, json=body)
                status: object = response.status_code
            except Exception as error:
                status = f"{type(error).__name__}: {error}"
            if not isinstance(status, int) or status >= 500:
                return f"{method} {path[:80]}: {status}"
        return ""


def _requests(bundle: Bundle) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    ids = [each.item_id for each in bundle.items[:3]]
    path = quote(ids[0], safe="")
    values = bundle.items[0].attributes
    yield "POST", "/v1/recommendations", {"history": ids[:1], "k": 5}
    yield "POST", "/v1/recommendations", {"history": ids, "k": MAX_K, "explain": True}
    yield "POST", "/v1/recommendations", {"history": [], "k": 5}
    yield "POST", "/v1/recommendations", {"history": ids, "allow": values, "exclude": ids[:1]}
    yield "POST", "/v1/recommendations/batch", {"requests": [{"history": ids}, {"history": []}]}
    yield "POST", "/v1/sessions/s/events?k=5", {"item_id": ids[0]}
    for address in (f"/v1/items/{path}", f"/v1/items/{path}/similar", "/v1/items?query=a"):
        yield "GET", address, None
    for address in ("/v1/model", "/v1/examples", "/metrics", "/readyz"):
        yield "GET", address, None


def damage_bytes(chance: random.Random, path: Path) -> None:
    """Flips, removes, doubles or inserts bytes at random places of a file."""
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 2, 8))):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + chance.choice((1, 1, 4, 64)))
        part = content[start:end]
        content[start:end] = chance.choice(
            (b"", part * 2, bytes(byte ^ 1 << chance.randrange(8) for byte in part), b"\xff\x00")
        )
    path.write_bytes(content)


def damage_value(chance: random.Random, path: Path) -> None:
    """Replaces a random value or key in the JSON of a file by a hostile one."""
    lines = [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()
    number = chance.randrange(len(lines))
    value = json.loads(lines[number])
    lines[number] = json.dumps(_with_hostile(chance, value))
    path.write_text("\n".join(lines) + "\n")


def _with_hostile(chance: random.Random, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or chance.random() < 0.2:
        return chance.choice(HOSTILE)
    place = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    if isinstance(value, dict) and chance.random() < 0.1:
        return {**value, chance.choice(("\ud800", "colour", "", "x" * 300)): 1}
    value[place] = _with_hostile(chance, value[place])
    return value


def damaged(whole: Path, folder: Path, seed: int, names: Sequence[str]) -> Path:
    """Copies the bundle `whole` to `folder`, damages a file of the copy and recomputes the hashes.

    `seed` decides which file of `names` is damaged, and how.
    """
    chance = random.Random(seed)  # noqa: S311 - draws damages, no secrets
    _copy(whole, folder)
    path = folder / chance.choice(names)
    is_graph = path.suffix == ".onnx"
    damage: Damage = damage_bytes if is_graph or chance.random() < 0.5 else damage_value
    damage(chance, path)
    rehash(folder)
    return folder


def crafted(whole: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields more than 200 crafted bundles, each with a name that says what was changed.

    In some, a pipe, a device, a folder, a link, a huge file or an empty file replaces a file. In
    the others, a field of the manifest has a hostile value, or one of an item a hostile string.
    """
    for name in (*TEXT_FILES, *GRAPH_FILES):
        for craft in (_pipe, _device, _sparse, _folder, _empty, _link):
            _copy(whole, folder)
            craft(folder / name)
            yield f"{craft.__name__} {name}", folder
    fields = json.loads(BundleLayout(whole).manifest.read_text())
    for name in ("max_history_length", "num_items", "metrics", "provenance", "student", *fields):
        for value in _NUMBERS:
            _copy(whole, folder)
            BundleLayout(folder).manifest.write_text(json.dumps(fields | {name: value}))
            rehash(folder)
            yield f"{name} = {value!r:.40}", folder
    first, *others = (whole / "items.jsonl").read_text().splitlines()
    item = json.loads(first)
    hostile: list[dict[str, Any]] = [{name: value} for name in item for value in _STRINGS]
    hostile += [{"attributes": {value: [value]}} for value in _STRINGS]
    for change in hostile:
        _copy(whole, folder)
        lines = [json.dumps(item | change), *others]
        (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
        rehash(folder)
        yield f"an item with {change!r:.60}", folder


def _copy(whole: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _sparse(path: Path) -> None:
    os.truncate(path, 20 * 10**9)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


Load = Callable[[Path], Awaitable[str]]
"""Loads a bundle and asks it; returns what is wrong with its answers. Raises BundleError."""


async def _outcomes(folders: Iterator[tuple[str, Path]], load: Load) -> Outcomes:
    """Tries each bundle; one that takes too long is tried once more, and the faster try counts.

    A machine may stand still for longer than a try may take.
    """
    outcomes = Outcomes()
    for name, folder in folders:
        kind, seconds, fault = await _outcome(load, folder)
        if seconds > REASON_SECONDS:
            again = await _outcome(load, folder)
            seconds, fault = min(seconds, again[1]), fault or again[2]
        outcomes.add(kind, seconds, fault and f"{name}: {fault}")
    return outcomes


async def _outcome(load: Load, folder: Path) -> tuple[str, float, str]:
    """Tries a bundle; returns the outcome, the seconds that it took, and what is wrong with it."""
    started, kind, fault = time.monotonic(), "served", ""
    try:
        fault = await load(folder)
    except BundleError as error:
        kind, fault = "refused", "" if str(error) else "no reason"
    except Exception as error:
        kind, fault = "failed", f"{type(error).__name__}: {error}"[:200]
    return kind, time.monotonic() - started, fault


def _through_child(service: Service, stamps: Path) -> Load:
    """Returns a function that loads a bundle in a child process, and then serves it in this one.

    A service that swaps bundles does the same. Each call checks the bundle anew.
    """
    numbers = count()

    async def load(folder: Path) -> str:
        checks = BundleChecks(MAX_K, REASON_SECONDS - 1, stamps / str(next(numbers)))
        await checks.check_async(folder)
        return await service.fault(folder)

    return load


async def run(damages: int, through_child: int, seed: int, folder: Path) -> list[Outcomes]:
    """Tries damaged texts, crafted bundles, then damaged graphs; returns the outcomes of each."""
    whole = save_ring_bundle(folder / "whole", ring_graph(len(RING)))
    settings = Settings(bundle_path=whole, items_path=folder / "items.jsonl", max_k=MAX_K)
    app, target = create_app(settings), folder / "damaged"
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        service = Service(app.state.runtime, client)
        seeds = range(seed, seed + damages)
        texts = ((str(each), damaged(whole, target, each, TEXT_FILES)) for each in seeds)
        in_process = await _outcomes(texts, service.fault)
        by_hand = await _outcomes(crafted(whole, target), service.fault)
        more = range(seed, seed + through_child)
        graphs = ((str(each), damaged(whole, target, each, GRAPH_FILES)) for each in more)
        load = _through_child(service, folder / "stamps")
        return [in_process, by_hand, await _outcomes(graphs, load)]


def prove(
    *,
    damages: Annotated[int, Parameter(help="Damages that are loaded in process.")] = 10_000,
    through_child: Annotated[int, Parameter(help="Damaged graphs, through the child.")] = 300,
    seed: Annotated[int, Parameter(help="The first seed of the damages.")] = 0,
) -> Iterator[Figure]:
    """Damage bundles, recompute their hashes, and load or refuse each."""
    with TemporaryDirectory() as name:
        found = asyncio.run(run(damages, through_child, seed, Path(name)))
    for kind, outcomes in zip(("in process", "crafted", "through the child"), found, strict=True):
        for each in ("refused", "served"):
            yield Figure(f"{kind}: {each}", "bundles", outcomes.counts[each])
        for fault in outcomes.faults[:20]:
            print(f"{kind}: {fault}")  # noqa: T201 - for who looks for the cause
        yield Figure(f"{kind}: neither", "bundles", len(outcomes.faults), at_most=0)
        yield Figure(f"{kind}: slowest", "s", outcomes.slowest, at_most=REASON_SECONDS)
