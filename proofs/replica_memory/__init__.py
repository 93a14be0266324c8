"""Measures the resident memory of one replica, by the number of items in its catalog.

The bundle has random weights, hidden size 64, and a synthetic catalog without attributes. The
service runs with one worker and an embedded store. Its memory is read when it is ready, after
requests, and all the time while it swaps to another bundle of the same size, where the child
process that checks the bundle counts too.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.errors import BenchmarkError
from benchmarks.load.generator import run_in_process
from benchmarks.load.workloads import SERVICE, closed_loop, visitors
from benchmarks.subjects.processes import RunningProgram, running_service
from benchmarks.subjects.subject import Subject, export_subject, random_student, synthetic_items
from export.contract.bundle import load_bundle, save_bundle
from export.contract.bundles_folder import LINK_NAME, publish
from export.contract.layout import BundleLayout
from proofs.record import Figure

SWAP_SECONDS = 600.0
LOAD_SECONDS = "600"  # a million items may take more than the default of 60 s on a busy machine
_SETTLE_SECONDS = 2.0  # after the swap, for the old bundle's memory to be given back
_POLL_SECONDS = 0.02


def prove(
    *, sizes: tuple[int, ...] = (100_000, 1_000_000), num_requests: int = 2_000
) -> Iterator[Figure]:
    """Measures the memory of a replica for each size of the catalog.

    Args:
        sizes: numbers of items.
        num_requests: number of requests between the start and the swap.
    """
    for size in sizes:
        with TemporaryDirectory() as folder:
            yield from _figures(size, num_requests, Path(folder))


def _figures(size: int, num_requests: int, folder: Path) -> Iterator[Figure]:
    items = synthetic_items(size)
    subject = export_subject(random_student(size), items, folder / "random", f"{size:,} items")
    bundles = folder / "bundles"
    publish(subject.bundle, bundles)
    link = str(bundles / LINK_NAME)  # `running_service` would follow it
    with running_service(
        subject.bundle, BUNDLE_PATH=link, BUNDLES_POLL_SECONDS="0.2", LOAD_SECONDS=LOAD_SECONDS
    ) as service:
        yield Figure(f"{size:,} items, from start to ready", "s", service.seconds_to_ready)
        yield Figure(f"{size:,} items, ready", "MiB", service.resident_mib())
        clicks = visitors(subject.item_ids, num_requests)
        run_in_process(closed_loop(clicks, SERVICE, service.port, connections=8))
        used = service.resident_mib()
        yield Figure(f"{size:,} items, after {num_requests:,} requests", "MiB", used)
        version = publish(_renamed(subject, folder), bundles).bundle
        peak = _peak_until(service, str(version))
        yield Figure(f"{size:,} items, peak of a swap", "MiB", peak)
        time.sleep(_SETTLE_SECONDS)
        yield Figure(f"{size:,} items, after the swap", "MiB", service.resident_mib())


def _renamed(subject: Subject, folder: Path) -> Path:
    """Saves the subject's bundle with other titles, so that it has another version."""
    made = load_bundle(subject.bundle)
    layout, manifest = BundleLayout(subject.bundle), made.manifest
    save_bundle(
        folder / "renamed",
        layout.model,
        [replace(each, title=f"{each.title}, second") for each in made.items],
        common_case=layout.common_case if layout.common_case.exists() else None,
        tables=[path for path in layout.tables if path.exists()],
        student=manifest.student,
        max_history_length=manifest.max_history_length,
        metrics={},
        parity_error=manifest.parity_error,
        provenance={},
    )
    return folder / "renamed"


def _peak_until(service: RunningProgram, version: str) -> float:
    """Returns the largest memory of the service until it serves `version`, in MiB."""
    peak, deadline = service.resident_mib(), time.monotonic() + SWAP_SECONDS
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", trust_env=False) as client:
        while client.get("/v1/model").json()["model_version"] != version:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{version} is not served after {SWAP_SECONDS:.0f} s")
            peak = max(peak, service.resident_mib())
            time.sleep(_POLL_SECONDS)
    return max(peak, service.resident_mib())
