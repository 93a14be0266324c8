"""The source of each quantity in README, performance, findings and scale, by section.

`RECORDS` names the figures of records and reports that a section quotes. `STATED` has the other
quantities: settings of the code, results of arithmetic with records, and definitions. They are
numbers in base units: seconds, bytes and shares.
"""

import csv
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.__main__ import BenchOptions
from benchmarks.load.workloads import RATE
from benchmarks.subjects.subject import NUM_ITEMS
from distilled_recommender.recommend.program import PART_ROWS
from export.contract.layout import MAX_GRAPH_SIZE, MAX_LINES_SIZE
from export.contract.records import MAX_LINES
from export.graphs.blocks.search import NUM_CANDIDATES, TRUSTED_SHARE, WIDER_CANDIDATES
from export.scorer import BLOCKS_FROM, MIN_RECALL
from proofs.fixtures.data.tables import MILLIONS, PER_ITEM, PER_USER
from proofs.search_cost import SIZES
from service.settings import Settings

ROOT = Path(__file__).parents[2]
README, PERFORMANCE = "README.md", "docs/performance.md"
FINDINGS, SCALE = "docs/findings.md", "docs/scale.md"
DOCUMENTS = (README, PERFORMANCE, FINDINGS, SCALE)

Place = tuple[str, str]
"""Path of a document, and the heading of a section."""


def _value(report: str, name: str) -> float:
    """Returns the value of a figure of a report or record."""
    figures = json.loads((ROOT / report).read_text("utf-8"))["figures"]
    (found,) = (each for each in figures if each["name"] == name)
    return float(found["value"])


def _all_of(record: str) -> Sequence[tuple[str, str]]:
    """Returns the path of a record with the name of each of its figures."""
    figures = json.loads((ROOT / record).read_text("utf-8"))["figures"]
    return tuple((record, each["name"]) for each in figures)


def ndcg(dataset: str, row: str) -> float:
    """Returns test NDCG@20 of SASRec's `row` in the report of `dataset`."""
    with (ROOT / "docs" / "results" / f"{dataset}.csv").open(encoding="utf-8", newline="") as file:
        keys = ("row", "student", "split", "targets", "metric", "protocol")
        wanted = (row, "SASRec", "test", "all", "NDCG@20", "train")
        (mean,) = (
            each["mean"] for each in csv.DictReader(file) if tuple(map(each.get, keys)) == wanted
        )
    return float(mean)


def train_seconds(dataset: str, row: str, student: str = "", teacher: str = "") -> float:
    """Returns the training time of a row in the report of `dataset`, the mean of its seeds."""
    with (ROOT / "docs" / "results" / f"{dataset}.csv").open(encoding="utf-8", newline="") as file:
        keys = ("row", "student", "teacher", "protocol")
        wanted = (row, student, teacher, "train")
        (seconds,) = {
            each["train_seconds"]
            for each in csv.DictReader(file)
            if tuple(map(each.get, keys)) == wanted
        }
    return float(seconds)


def all_training_seconds(dataset: str) -> float:
    """Returns the time of a teacher of titles, three seeds of both students, and baselines."""
    students = (("DLLM2Rec", "SASRec", "titles"), ("CE", "SASRec"))
    once = (("last-item",), ("VMIS-kNN",), ("order-aware kNN",), ("teacher titles", "", "titles"))
    seconds = [3 * train_seconds(dataset, *row) for row in students]
    return sum(seconds) + sum(train_seconds(dataset, *row) for row in once)


def catalog_size(dataset: str) -> float:
    """Returns how many items are ranked in the report of `dataset`."""
    return number_in_report(dataset, r"full catalog of ([\d,]+) items")


def number_in_report(dataset: str, pattern: str) -> float:
    """Returns the number that `pattern` captures in the text of the report of `dataset`."""
    text = (ROOT / "docs" / "results" / f"{dataset}.md").read_text(encoding="utf-8")
    (found,) = set(re.findall(pattern, text))
    return float(found.replace(",", ""))


def demo_lines() -> list[str]:
    """Returns the lines of the recorded output of `make demo`."""
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    texts = re.findall(r"<text [^>]*>(.*?)</text>", picture)
    return [html.unescape(each).replace("\N{NO-BREAK SPACE}", " ") for each in texts]


def _of_demo(row: str) -> float:
    """Returns test NDCG@20 of a row of the demo, the mean of its last column."""
    (line,) = (each for each in demo_lines() if each.startswith(f"{row} "))
    return float(line.split(" ± ")[-2].split()[-1])


PREPARE, SCALES = "docs/proofs/prepare.json", "benchmarks/out/scale.json"
EPOCH, SEARCH = "docs/proofs/epoch.json", "docs/proofs/search_cost.json"
BATCH = "docs/proofs/batch.json"
REQUEST_COST = "benchmarks/out/request_cost.json"
CONSTANT_RATE = "benchmarks/out/constant_rate.json"
STUDENT_AND_TEACHERS = "benchmarks/out/student_vs_teacher.json"
STORED = "docs/proofs/stored_runs.json"
EPOCH_COST, STEP_COST = "benchmarks/out/epoch_cost.json", "benchmarks/out/step_cost.json"
_STORED_P90 = tuple(
    (STORED, f"p90 at 1,000 requests/s, regulars: {each}") for each in ("smallest", "largest")
)

RECORDS: Mapping[Place, Sequence[tuple[str, str]]] = {
    (README, "How fast"): _STORED_P90,
    (PERFORMANCE, "Student and teachers"): ((STUDENT_AND_TEACHERS, "NDCG@20, student"),),
    (PERFORMANCE, "How far to trust it"): (
        *_STORED_P90,
        (STORED, "throughput over the best peer's: smallest"),
        (STORED, "throughput over the best peer's: largest"),
        (CONSTANT_RATE, "p90 at 1,000 requests/s, regulars"),
        ("docs/proofs/access.json", "with a key"),
        (REQUEST_COST, "service at 1,000 requests/s over bare graph + bare Redis"),
    ),
    (FINDINGS, "The cost of a training step"): (
        (STEP_COST, "training step over that of c4abec0, packed windows"),
        (STEP_COST, "training step over that of c4abec0, packed windows, 40 % scored"),
        (EPOCH_COST, "distilled epoch over plain, amazon-games, as configured"),
        (EPOCH_COST, "distilled epoch over plain, movielens, all three weights"),
    ),
    (SCALE, "Scale"): tuple(
        (PREPARE, f"{millions:g} million interactions: {name}")
        for millions in MILLIONS
        for name in ("peak resident memory", "peak private memory")
    ),
    (SCALE, "Train"): (
        *(
            (EPOCH, f"{millions:g} million interactions: {name}")
            for millions in MILLIONS
            for name in ("peak resident memory", "peak private memory")
        ),
        (EPOCH, "the agent that is left: time to its end"),
    ),
    (SCALE, "Search"): (
        *_all_of(SEARCH),
        (SCALES, "a filter that leaves 0.1 % over none, 1,000,000 items"),
        (SCALES, "the 300 best excluded over none, 1,000,000 items"),
    ),
    (SCALE, "A whole base"): tuple(
        (BATCH, name)
        for name in (
            "rate of one core",
            "peak memory of all processes, tenth 1",
            "peak memory of all processes, tenth 3",
        )
    ),
    (SCALE, "A billion events a day, a hundred million items"): (
        *((SEARCH, f"{size:,} items, this project: p50") for size in SIZES),
        (CONSTANT_RATE, "Redis CPU"),
        *(
            (SEARCH, f"10,000,000 items, this project: {name}")
            for name in ("built in", "resident", "of it anonymous", "peak of the export")
        ),
    ),
}
"""The figures that a section quotes: path of a report or record, and name of the figure."""


def _table(record: str, rate_name: str, minutes_digits: int, rate_digits: int) -> dict[str, float]:
    """Returns what a table of `scale.md` derives from its record: sizes, minutes and rates.

    Args:
        record: path of the record.
        rate_name: name of the rate in the record.
        minutes_digits: number of decimals of minutes.
        rate_digits: number of digits of the rate that are rounded away.
    """
    cells: dict[str, float] = {}
    for millions in map(int, MILLIONS):
        count, of = millions * 1_000_000, f"{millions} million interactions: "
        minutes = _value(record, f"{of}processor time") / 60
        rate = round(_value(record, f"{of}{rate_name}"), -rate_digits)
        numbers = [count / PER_USER, count / PER_ITEM, rate]
        cells |= {f"{number:,.0f}": number for number in numbers}
        cells[f"{minutes:.{minutes_digits}f}"] = minutes
    return cells


def _per_million(name: str, record: str = PREPARE) -> float:
    """Returns what a further million interactions adds to a figure, from 10 to 50 million."""
    ten, fifty = (_value(record, f"{each} million interactions: {name}") for each in (10, 50))
    return (fifty - ten) / 40


def _large_shop() -> dict[str, float]:
    """Returns the arithmetic of a billion events a day and a hundred million items."""
    events, items, sessions, history = 1e9 / 86_400, 1e8, 1e8, 30e9
    peak = 3 * events
    rest = 1e-6 * (_value(REQUEST_COST, "service, saturated") - _value(REQUEST_COST, "bare graph"))
    one, ten = (
        rest + 1e-3 * _value(SEARCH, f"{size:,} items, this project: p50") for size in SIZES[-2:]
    )
    export = _value(SEARCH, "10,000,000 items, this project: built in")
    titles = train_seconds("amazon-games-next", "teacher titles", teacher="titles") / NUM_ITEMS
    of_a_cut = history / 10 / 1e6  # million interactions in one of ten catalogs
    epoch, rows = (_per_million(name, EPOCH) for name in ("processor time", "peak private memory"))
    per_event = 250  # bytes, as `EVENT_LOG_MAX_BYTES` is documented
    on_disk = 36  # bytes of an interaction in temporary files
    session = 390 + 10 * (22 + 10 + 2 * 36)  # docs/operations.md, with item ids of ten bytes
    names = 2.5e6 + 1e6  # users and items of the largest dataset of the record
    private = _value(PREPARE, "50 million interactions: peak private memory") * 2**30 / names
    log_bytes = float(Settings.model_fields["event_log_max_bytes"].default)
    prepare = _per_million("processor time")
    return {
        "34,700": peak,
        "60 %": 0.6,
        "0.6": 0.6,
        "10,000": 10_000,
        "100,000": 100_000,
        "1,000,000": 1_000_000,
        "10,000,000": 10_000_000,
        "0.1 ms": rest,
        "4.7 ms": ten,
        "270 cores": peak * ten / 0.6,
        "2.4 ms": one,
        "140 cores": peak * one / 0.6,
        "130 hours": 1e8 * ten,
        "20,000,000": MAX_LINES,
        "4 GB": MAX_GRAPH_SIZE,
        "2 GB": MAX_LINES_SIZE,
        "15,600,000": MAX_GRAPH_SIZE / (4 * 64),
        "81 minutes": 10 * export,
        "2,114 s": titles * NUM_ITEMS,
        "3,400 hours": titles * items,
        "1.26 minutes": epoch,
        "0.09 GiB": rows * 2**30,
        "63 hours": epoch * of_a_cut,
        "260 GiB": rows * 2**30 * of_a_cut,
        "38 minutes": epoch * of_a_cut / 100,
        "2.6 GiB": rows * 2**30 * of_a_cut / 100,
        "4 bytes": 4,
        "320 bytes": 4 * 64 * 1.25,
        "3.2 GB": 4 * 64 * 1.25 * items / 10,
        "6.4 GB": 2 * 4 * 64 * 1.25 * items / 10,
        "140 GB": session * sessions,
        "250 bytes": per_event,
        "2.9 MB": per_event * events,
        "8.7 MB": per_event * peak,
        "64 MiB": log_bytes,
        "8 s": log_bytes / (per_event * peak),
        "3.8 s": prepare,
        "36 bytes": on_disk,
        "32 hours": history / 1e6 * prepare,
        "1.1 TB": history * on_disk,
        "340 bytes": private,
        "68 GB": private * 200e6,
        "17,332": NUM_ITEMS,
        "16 bytes": 16,
    }


STATED: Mapping[Place, Mapping[str, float]] = {
    (README, "Distilled recommender"): {
        "3,496": catalog_size("movielens"),
        "84 users": number_in_report("movielens", r"of ([\d,]+) users"),
        "95 %": 0.95,
        "0.04 $": BenchOptions().core_hour,
    },
    (README, "Try it"): {"3.11": 3.11, "3.13": 3.13},  # `requires-python`
    (README, "Your own data"): {
        "3.8 s": _per_million("processor time"),
        "0.05 GiB": _per_million("peak resident memory") * 2**30,
        "1.3 minutes": _per_million("processor time", EPOCH),
        "0.09 GiB": _per_million("peak resident memory", EPOCH) * 2**30,
        "17,864": catalog_size("amazon-games-paper"),
        "40 minutes": train_seconds("amazon-games-paper", "DLLM2Rec", "SASRec", "titles"),
        "3.4 hours": all_training_seconds("amazon-games-paper"),
    },
    (README, "Is it worth it?"): {"95 %": 0.95, "0.0541": _of_demo("SASRec CE")},
    (README, "How fast"): {"1,000": RATE},
    (README, "Status"): {"1.0": 1.0},
    (PERFORMANCE, "Student and teachers"): {
        "0.04 $": BenchOptions().core_hour,
        "0.0581": _of_demo("SASRec DLLM2Rec"),
        "0.0541": _of_demo("SASRec CE"),
        "0.0586": ndcg("movielens", "DLLM2Rec"),
        "0.0504": ndcg("movielens", "CE"),
    },
    (PERFORMANCE, "Targets"): {"17,332": NUM_ITEMS},
    (PERFORMANCE, "How far to trust it"): {"1,000": RATE},
    (PERFORMANCE, "In the graph"): {
        "262,144": BLOCKS_FROM,
        "99.2 %": MIN_RECALL,
    },
    (FINDINGS, "How to read the figures"): {"95 %": 0.95},
    # The three figures of the paper: Cui et al., RecSys 2024.
    (FINDINGS, "The method beside the paper's claim"): {"47.97 %": 0.4797},
    (FINDINGS, "The paper's Amazon video games"): {"0.0331": 0.0331, "0.0751": 0.0751},
    (FINDINGS, "Its cold items"): {"2 %": 0.02},  # within the interval beside it
    (FINDINGS, "The cost of a training step"): {"40 %": 0.4},  # `scored_share` of the figure
    (SCALE, "Scale"): {
        **_table(PREPARE, "interactions a second of one core", 2, 3),
        "0.014 GiB": _per_million("peak private memory") * 2**30,
        "0.05 GiB": _per_million("peak resident memory") * 2**30,
        "3.8 s": _per_million("processor time"),
    },
    (SCALE, "Prepare"): {"262,144": 262_144},
    (SCALE, "Train"): {
        **_table(EPOCH, "predicted interactions a second of one core", 1, 2),
        "2,000": 2_000,  # `validation_examples`, as proofs/epoch has it
        "0.005": 0.005,  # `scored_share` there
        "17,332": 17_332,  # items of amazon-games
        "16 bytes": 16,  # four arrays of float32
        "8 GiB": 8 * 2**30,  # the target
    },
    (SCALE, "Search"): {
        "10,000": 10_000,
        "100,000": 100_000,
        "1,000,000": 1_000_000,
        "10,000,000": 10_000_000,
        "0.99": 0.99,
        "1,260": NUM_CANDIDATES * WIDER_CANDIDATES / TRUSTED_SHARE - 20,
        "999,972": 999_972,  # in the names of figures of the record
        "262,144": BLOCKS_FROM,
        "1 %": 0.01,
        "0.1 %": 0.001,
    },
    (SCALE, "A whole base"): {
        "8,192": PART_ROWS,
        "712 s": _value(BATCH, "time of all processes"),
        "3,331 s": _value(BATCH, "time"),
        "120 bytes": _value(BATCH, "size of the output") / _value(BATCH, "histories"),
        "3,496": 3_496,  # items of MovieLens
    },
    (SCALE, "A billion events a day, a hundred million items"): _large_shop(),
}
