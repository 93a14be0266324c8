"""The arithmetic of a large shop in `scale.md`: a billion events a day, a hundred million items."""

from math import log

from benchmarks.subjects.subject import NUM_ITEMS
from export.contract.layout import MAX_GRAPH_SIZE, MAX_LINES_SIZE
from export.contract.records import MAX_LINES
from proofs.search_cost import SIZES
from proofs.search_cost.search import OURS
from service.settings import Settings
from tests.handbook.sources.measured import (
    EPOCH,
    PREPARE,
    REQUEST_COST,
    SEARCH,
    per_million,
    train_seconds,
    value,
)

EVENTS, ITEMS, HISTORY = 1e9 / 86_400, 1e8, 30e9
"""Events a second, items, and interactions of 30 days of the large shop in `scale.md`."""
LARGEST = "50 million interactions"
NUM_CATALOGS = 10  # that its items are divided into
PEAK = 3 * EVENTS


def large_shop() -> dict[str, float]:
    """Returns the arithmetic of a billion events a day and a hundred million items."""
    session = 390 + 10 * (22 + 10 + 2 * 36)  # docs/operations.md, with item ids of ten bytes
    titles = train_seconds("amazon-games-next", "teacher titles", teacher="titles")
    return {
        "34,700": PEAK,
        "60 %": 0.6,
        "0.6": 0.6,
        "140 GB": session * 1e8,  # sessions
        "17,332": NUM_ITEMS,
        "2,114 s": titles,
        "3,400 hours": titles / NUM_ITEMS * ITEMS,
        **_large_catalogs(),
        **_large_log(),
        **_large_training(),
    }


def _large_catalogs() -> dict[str, float]:
    """Returns what the catalogs of a large shop cost to export and to serve."""
    rest = 1e-6 * (value(REQUEST_COST, "service, saturated") - value(REQUEST_COST, "bare graph"))
    of_each = {size: rest + 1e-3 * value(SEARCH, f"{size:,} items, {OURS}: p50") for size in SIZES}
    one, ten = of_each[1_000_000], of_each[10_000_000]
    built = value(SEARCH, f"10,000,000 items, {OURS}: built in")
    table = 4 * 64 * 1.25 * ITEMS / NUM_CATALOGS
    return {
        **{f"{size:,}": size for size in SIZES},
        "0.1 ms": rest,
        "6.3 ms": ten,
        "365 cores": PEAK * ten / 0.6,
        "1.8 ms": one,
        "100 cores": PEAK * one / 0.6,
        "175 hours": 1e8 * ten,  # users
        "20,000,000": MAX_LINES,
        "4 GB": MAX_GRAPH_SIZE,
        "2 GB": MAX_LINES_SIZE,
        "15,600,000": MAX_GRAPH_SIZE / (4 * 64),
        "79 minutes": NUM_CATALOGS * (built + 10_000 * ten),
        "4 bytes": 4,
        "320 bytes": 4 * 64 * 1.25,
        "3.2 GB": table,
        "6.4 GB": 2 * table,
    }


def _large_log() -> dict[str, float]:
    """Returns what the event log of a large shop takes."""
    per_event = 250  # bytes, as `EVENT_LOG_MAX_BYTES` is documented
    log_bytes = float(Settings.model_fields["event_log_max_bytes"].default)
    return {
        "250 bytes": per_event,
        "2.9 MB": per_event * EVENTS,
        "8.7 MB": per_event * PEAK,
        "64 MiB": log_bytes,
        "8 s": log_bytes / (per_event * PEAK),
    }


def _large_training() -> dict[str, float]:
    """Returns what preparing and training on 30 days of a large shop take."""
    on_disk = 36  # bytes of an interaction in temporary files
    names = 2.5e6 + 1e6  # users and items of the largest dataset of the record
    private = value(PREPARE, f"{LARGEST}: peak private memory") * 2**30 / names
    prepare, epoch = per_million("processor time"), value(EPOCH, f"{LARGEST}: processor time") / 50
    largest = value(EPOCH, f"{LARGEST}: peak private memory") * 2**30
    rows = (largest - 16 * 64 * 1e6) / 50
    of_a_catalog = HISTORY / NUM_CATALOGS / 1e6  # million interactions
    vectors = 16 * ITEMS / NUM_CATALOGS * 64
    return {
        "4.5 s": prepare,
        "36 bytes": on_disk,
        "37 hours": HISTORY / 1e6 * prepare,
        "58 hours": NUM_CATALOGS * _grown("processor time", of_a_catalog),
        "1.1 TB": HISTORY * on_disk,
        "357 bytes": private,
        "71 GB": private * 200e6,
        "16 bytes": 16,
        "0.90 minutes": epoch,
        "0.09 GiB": rows,
        "45 hours": epoch * of_a_catalog,
        "277 GiB": rows * of_a_catalog + vectors,
        "27 minutes": epoch * of_a_catalog / 100,
        "2.7 GiB": rows * of_a_catalog / 100,
        "9.5 GiB": vectors,
    }


def _grown(name: str, millions: float) -> float:
    """Returns a figure for so many interactions if it grows on as from 10 to 50 million."""
    ten, fifty = (value(PREPARE, f"{each} million interactions: {name}") for each in (10, 50))
    growth: float = (millions / 50) ** log(fifty / ten, 5)
    return fifty * growth
