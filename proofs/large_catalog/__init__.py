"""Proves that a catalog of a million items is served over REST in time, with one table for all.

The student is the demo's, with more items (`benchmarks.subjects.large_catalog`), exported as
`export` does, so with the search that it chooses. Sessions click through histories of the demo's
test users at a constant rate. Client, Redis and the service's two workers share the machine, whose
stalls would degrade answers after the 40 ms that the service waits for Redis by default. Here it
waits for 5 s, so that a stall counts as latency; the names of latencies say so. Answers that fail
or are degraded all the same are counted, and none may be. The memory of the workers is their
proportional set size: a page that several processes share counts in equal parts for each.

python -m proofs large_catalog [--num-items N] [--seconds S] [--rate N] [--work FOLDER]
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
import numpy as np
from cyclopts import Parameter

from benchmarks.errors import BenchmarkError
from benchmarks.load.clicks import Click
from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import Outcome, Times, even
from benchmarks.load.workloads import SERVICE, open_loop
from benchmarks.options import ROOT
from benchmarks.subjects.large_catalog import LargeCatalog, enlarged
from benchmarks.subjects.processes import RunningProgram, running_redis, running_service
from benchmarks.subjects.subject import synthetic_items
from export.contract.bundle import Item, save_bundle
from export.contract.bundles_folder import LINK_NAME, publish
from export.freeze import Graphs, export_graphs
from export.scorer import NUM_QUERIES
from proofs.record import Figure
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.distillation.variants import DISTILLED
from training.workplace import Workplace

P90_MS = 20.0
_NUM_RANDOM = 100  # random histories of the parity check
_SESSIONS_AT_ONCE = 100
_FEW = 300  # clicks after which memory is read
_SWAP_SECONDS = 600.0
_POLL_SECONDS = 0.05
_REDIS_TIMEOUT_SECONDS = 5
_ANSWERS_IN_A_ROW = 20
WRONG_ANSWER = "wrong answer"  # as the load generator calls it


def prove(
    *,
    num_items: Annotated[int, Parameter(help="Number of items.")] = 1_000_000,
    seconds: Annotated[float, Parameter(help="Seconds at the constant rate.")] = 60.0,
    rate: Annotated[int, Parameter(help="Requests a second.")] = 300,
    work: Annotated[Path, Parameter(help="Work folder in which `make smoke` ran.")] = Path("work"),
) -> Iterator[Figure]:
    """Serve a catalog of a million items over REST, by two workers."""
    workplace = Workplace(work / "movielens")
    checkpoint = load_checkpoint(workplace.checkpoints / f"{DISTILLED}-0")
    catalog = enlarged(checkpoint, load_dataset(workplace.dataset), num_items)
    yield from figures(catalog, seconds, rate)


def figures(
    catalog: LargeCatalog, seconds: float, rate: int, warm_up_seconds: float = 5.0
) -> Iterator[Figure]:
    """Serves the catalog; measures latency at `rate` requests a second, and memory.

    Args:
        catalog: student, catalog and histories.
        seconds: time of the measurement of latency.
        rate: requests a second.
        warm_up_seconds: time at the same rate before a measurement.
    """
    due = even(rate, warm_up_seconds + seconds)
    items = synthetic_items(len(catalog.student.item_table.offsets))
    with TemporaryDirectory() as name, running_redis() as redis:
        folder, bundles = Path(name), Path(name) / "bundles"
        yield Figure("items", "items", len(items))
        began = time.monotonic()
        graphs = _exported(catalog, folder)
        yield Figure("export of the graphs", "s", time.monotonic() - began)
        publish(_bundle(catalog, graphs, items, folder / "first"), bundles)
        settings = {"BUNDLE_PATH": str(bundles / LINK_NAME), "LOAD_SECONDS": "600"}
        settings["REDIS_TIMEOUT_SECONDS"] = str(_REDIS_TIMEOUT_SECONDS)
        with running_service(bundles, redis, ROOT, **settings) as service:
            yield Figure("from start to ready", "s", service.seconds_to_ready)
            first = _clicked(service, catalog, items, due[:_FEW], 0.0)
            one = service.proportional_mib()
        yield Figure("memory of one worker", "MiB", one)
        settings |= {"WORKERS": "2", "BUNDLES_POLL_SECONDS": "0.2"}
        with running_service(bundles, redis, ROOT, **settings) as service:
            second = _clicked(service, catalog, items, due[:_FEW], 0.0)
            two, all_three = service.children_proportional_mib(), service.proportional_mib()
            yield Figure("memory of two workers", "MiB", two, at_most=two_at_most(one, graphs))
            yield from _tables_held(service, graphs)
            yield Figure("memory of their supervisor", "MiB", all_three - two)
            measured = _clicked(service, catalog, items, due, warm_up_seconds)
            yield from _latencies(measured, rate)
            yield from answer_figures([first, second, measured])
            renamed = [replace(each, title=f"{each.title}, again") for each in items]
            version = publish(_bundle(catalog, graphs, renamed, folder / "second"), bundles).bundle
            yield Figure("peak of a swap", "MiB", _peak(service, str(version)), at_most=2 * two)


def _tables_held(service: RunningProgram, graphs: Graphs) -> Iterator[Figure]:
    """Yields how many copies of the item table the workers hold, if it lies in files."""
    if graphs.tables:
        mapped = service.mapped_mib([each.name for each in graphs.tables]) * 2**20
        held = mapped / sum(map(_size, graphs.tables))
        yield Figure("item tables that they hold", "copies", held, at_most=1.01, at_least=0.1)


def two_at_most(one: float, graphs: Graphs) -> float:
    """Returns the most memory that two workers may take, in MiB, if they hold one table.

    `one`: memory of one worker, which has no supervisor. Each worker has memory of its own for
    everything but the tables.
    """
    return 2 * one - sum(map(_size, graphs.tables)) / 2**20


def _size(path: Path) -> int:
    return path.stat().st_size


def _exported(catalog: LargeCatalog, folder: Path) -> Graphs:
    scratch = folder / "graphs"
    scratch.mkdir()
    windows = [np.array(each) for each in catalog.histories[:NUM_QUERIES]]
    return export_graphs(catalog.student, scratch, windows, num_random=_NUM_RANDOM)


def _bundle(catalog: LargeCatalog, graphs: Graphs, items: Sequence[Item], folder: Path) -> Path:
    """Saves a bundle of the graphs, and returns its folder."""
    save_bundle(
        folder,
        graphs.model,
        items,
        common_case=graphs.common_case,
        tables=graphs.tables,
        student="sasrec",
        max_history_length=catalog.student.max_history_length,
        metrics={},
        parity_error=graphs.parity_error,
        provenance={},
        scorer=graphs.scorer,
    )
    return folder


def _clicked(
    service: RunningProgram,
    catalog: LargeCatalog,
    items: Sequence[Item],
    due: Times,
    warm_up_seconds: float,
) -> Outcome:
    """Sends the clicks of sessions that repeat real histories, each at its time in `due`."""
    clicks = list(islice(_sessions(catalog, items), len(due)))
    return run_in_process(open_loop(clicks, SERVICE, service.port, due, warm_up_seconds))


def _sessions(catalog: LargeCatalog, items: Sequence[Item]) -> Iterator[Click]:
    """Yields the clicks of endlessly many sessions, `_SESSIONS_AT_ONCE` of which take turns."""
    prefix = token_hex(4)
    for group in count():
        drawn = np.random.default_rng(group).choice(len(catalog.histories), _SESSIONS_AT_ONCE)
        histories = [catalog.histories[int(row)] for row in drawn]
        for place in range(max(map(len, histories))):
            for number, history in enumerate(histories):
                if place < len(history):
                    name = f"{prefix}-{group}-{number}"
                    yield Click(name, items[history[place] - 1].item_id)


def _latencies(outcome: Outcome, rate: int) -> Iterator[Figure]:
    for share, at_most in ((50, None), (90, P90_MS), (99, None)):
        name = f"p{share} at {rate} requests/s, REDIS_TIMEOUT_SECONDS={_REDIS_TIMEOUT_SECONDS}"
        yield Figure(name, "ms", outcome.percentile(share), at_most=at_most)
    due = len(outcome.latencies)
    yield Figure("answers", "answers", due - outcome.num_failed, at_least=due)


def answer_figures(outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    """Yields how many requests failed, and how many answers were degraded or not the student's."""
    degraded = sum(each.failures.get(WRONG_ANSWER, 0) for each in outcomes)
    failed = sum(each.num_failed for each in outcomes) - degraded
    yield Figure("failed requests", "requests", failed, at_most=0)
    yield Figure("answers degraded, or not the student's", "answers", degraded, at_most=0)


def _peak(service: RunningProgram, version: str) -> float:
    """Returns the largest memory of the service until all workers serve `version`, in MiB.

    Raises:
        BenchmarkError: the version is not served in time.
    """
    peak, seen, deadline = 0.0, 0, time.monotonic() + _SWAP_SECONDS
    while seen < _ANSWERS_IN_A_ROW:  # each on a new connection, so that all workers are asked
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{version} is not served after {_SWAP_SECONDS:.0f} s")
        peak = max(peak, service.proportional_mib())
        answer = httpx.get(f"http://127.0.0.1:{service.port}/v1/model", trust_env=False).json()
        seen = seen + 1 if answer["model_version"] == version else 0
        time.sleep(_POLL_SECONDS)
    return peak
