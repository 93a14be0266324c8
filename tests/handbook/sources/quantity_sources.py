"""The source of each quantity in README, performance, findings and scale, by section.

`RECORDS` names the figures of records and reports that a section quotes. `STATED` has the other
quantities: settings of the code, results of arithmetic with records, and definitions. They are
numbers in base units: seconds, bytes and shares.
"""

from collections.abc import Mapping, Sequence

from benchmarks.__main__ import BenchOptions
from benchmarks.load.served_bundle import MORE_ANSWERS
from benchmarks.load.workloads import RATE
from benchmarks.subjects.searches import NUMS_EXCLUDED
from benchmarks.subjects.subject import NUM_ITEMS
from distilled_recommender.recommend.program import PART_ROWS
from export.graphs.blocks.search import NUM_CANDIDATES, TRUSTED_SHARE, WIDER_CANDIDATES
from export.scorer import BLOCKS_FROM, MIN_RECALL
from proofs.fixtures.data.tables import MILLIONS, PER_ITEM, PER_USER
from proofs.scored_share.quality import LARGEST_LOSS
from proofs.search_cost import SIZES
from proofs.search_cost.search import OURS
from tests.handbook.sources.large_shop import large_shop
from tests.handbook.sources.measured import (
    BATCH,
    CONSTANT_RATE,
    EPOCH,
    EPOCH_COST,
    PREPARE,
    REQUEST_COST,
    SCALES,
    SEARCH,
    STEP_COST,
    STORED,
    STUDENT_AND_TEACHERS,
    all_of,
    all_training_seconds,
    catalog_size,
    ndcg,
    number_in_report,
    of_demo,
    per_million,
    value,
)
from training.distillation.after_training import pair_fit
from training.students.pair_bonus import MAX_ITEMS

README, PERFORMANCE = "README.md", "docs/performance.md"
FINDINGS, SCALE = "docs/findings.md", "docs/scale.md"
DOCUMENTS = (README, PERFORMANCE, FINDINGS, SCALE)

Place = tuple[str, str]
"""Path of a document, and the heading of a section."""


SCORED_SHARE = "docs/proofs/scored_share.json"
LOSS = "40% scored over all, validation NDCG@20"

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
        *all_of(SEARCH),
        (SCALES, "a filter that leaves 0.1 % over none, 1,000,000 items"),
        (SCALES, "the 1,000 best excluded over none, 1,000,000 items"),
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
        *((SEARCH, f"{size:,} items, {OURS}: p50") for size in SIZES),
        (CONSTANT_RATE, "Redis CPU"),
        *(
            (SEARCH, f"10,000,000 items, {OURS}: {name}")
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
        minutes = value(record, f"{of}processor time") / 60
        rate = round(value(record, f"{of}{rate_name}"), -rate_digits)
        numbers = [count / PER_USER, count / PER_ITEM, rate]
        cells |= {f"{number:,.0f}": number for number in numbers}
        cells[f"{minutes:.{minutes_digits}f}"] = minutes
    return cells


STATED: Mapping[Place, Mapping[str, float]] = {
    (README, "Distilled recommender"): {
        "3,496": catalog_size("movielens"),
        "84 users": number_in_report("movielens", r"of ([\d,]+) users"),
        "95 %": 0.95,
        "0.04 $": BenchOptions().core_hour,
    },
    (README, "Try it"): {"3.11": 3.11, "3.13": 3.13},  # `requires-python`
    (README, "Your own data"): {
        "4.5 s": per_million("processor time"),
        "0.05 GiB": per_million("peak resident memory") * 2**30,
        "45 minutes": value(EPOCH, "50 million interactions: processor time"),
        "5.5 GiB": value(EPOCH, "50 million interactions: peak resident memory") * 2**30,
        "17,864": catalog_size("amazon-games-paper"),
        "3.4 hours": all_training_seconds("amazon-games-paper"),
    },
    (README, "Is it worth it?"): {"95 %": 0.95},
    (README, "How fast"): {"1,000": RATE, "17,332": NUM_ITEMS},
    (README, "Status"): {"1.0": 1.0},
    (PERFORMANCE, "Student and teachers"): {
        "0.04 $": BenchOptions().core_hour,
        "0.0703": of_demo("SASRec DLLM2Rec with pair bonus"),
        "0.0687": of_demo("SASRec CE with pair bonus"),
        "0.0694": ndcg("movielens", "CE with pair bonus"),
        "0.0715": ndcg("movielens", "DLLM2Rec with pair bonus"),
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
    (FINDINGS, "The paper's targets, refitted"): {
        "5,000": pair_fit.MAX_EXAMPLES,
        "0.057": 0.057,  # the goal
    },
    # `scored_share` there, and the goal.
    (FINDINGS, "With the blocks of SASRec's authors"): {"40 %": 0.4, "0.060": 0.06},
    (FINDINGS, "The cost of a training step"): {
        "40 %": 0.4,  # `scored_share` of the figures
        "0.4 %": -value(SCORED_SHARE, LOSS),
        "2.4 %": -value(SCORED_SHARE, f"{LOSS}: lower end of the interval"),
        "1 %": LARGEST_LOSS,
    },
    (SCALE, "Scale"): {
        **_table(PREPARE, "interactions a second of one core", 2, 3),
        "0.016 GiB": per_million("peak private memory") * 2**30,
        "0.05 GiB": per_million("peak resident memory") * 2**30,
        "4.5 s": per_million("processor time"),
    },
    (SCALE, "Prepare"): {"262,144": 262_144},
    (SCALE, "Train"): {
        "262,142": MAX_ITEMS,
        "5,000": pair_fit.MAX_EXAMPLES,
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
        "2,000": MORE_ANSWERS,
        "1,000": max(NUMS_EXCLUDED),
        "999,972": 999_972,  # in the names of figures of the record
        "262,144": BLOCKS_FROM,
        "1 %": 0.01,
        "0.1 %": 0.001,
    },
    (SCALE, "A whole base"): {
        "8,192": PART_ROWS,
        "712 s": value(BATCH, "time of all processes"),
        "3,331 s": value(BATCH, "time"),
        "120 bytes": value(BATCH, "size of the output") / value(BATCH, "histories"),
        "3,496": 3_496,  # items of MovieLens
    },
    (SCALE, "A billion events a day, a hundred million items"): large_shop(),
}
