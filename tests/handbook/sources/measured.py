"""Reads figures of records and reports, which documents quote."""

import csv
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
PREPARE, SCALES = "docs/proofs/prepare.json", "benchmarks/out/scale.json"
EPOCH, SEARCH = "docs/proofs/epoch.json", "docs/proofs/search_cost.json"
BATCH = "docs/proofs/batch.json"
REQUEST_COST = "benchmarks/out/request_cost.json"
CONSTANT_RATE = "benchmarks/out/constant_rate.json"
STUDENT_AND_TEACHERS = "benchmarks/out/student_vs_teacher.json"
STORED = "docs/proofs/stored_runs.json"
EPOCH_COST, STEP_COST = "benchmarks/out/epoch_cost.json", "benchmarks/out/step_cost.json"


def value(report: str, name: str) -> float:
    """Returns the value of a figure of a report or record."""
    figures = json.loads((ROOT / report).read_text("utf-8"))["figures"]
    (found,) = (each for each in figures if each["name"] == name)
    return float(found["value"])


def all_of(record: str) -> Sequence[tuple[str, str]]:
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


def of_demo(row: str) -> float:
    """Returns test NDCG@20 of a row of the demo, the mean of its last column."""
    (line,) = (each for each in demo_lines() if each.startswith(f"{row} "))
    return float(line.split(" ± ")[-2].split()[-1])


def per_million(name: str) -> float:
    """Returns what a further million interactions adds to a figure, from 10 to 50 million."""
    ten, fifty = (value(PREPARE, f"{each} million interactions: {name}") for each in (10, 50))
    return (fifty - ten) / 40
