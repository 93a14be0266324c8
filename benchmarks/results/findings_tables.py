"""Makes the tables of docs/findings.md, one per dataset, from its report in `docs/results`."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.results.markdown import markdown_table

Key = tuple[str, str, str]
"""Row, student and teacher of a report, as named there."""

_KNN: Key = ("order-aware kNN", "", "")
_ITEM_KNN: Key = ("order-aware item kNN", "", "")
_OF_BOTH_TEACHERS: Sequence[Key] = tuple(
    (row, "SASRec", teacher)
    for row in ("DLLM2Rec", "DLLM2Rec with cold bonus")
    for teacher in ("titles", "retrieval")
)

ROWS: dict[str, Sequence[Key]] = {
    "movielens": (
        _ITEM_KNN,
        _KNN,
        ("VMIS-kNN", "", ""),
        ("teacher retrieval", "", "retrieval"),
        ("CE", "SASRec", ""),
        ("CE fused with kNN", "SASRec", ""),
        ("CE fused with item kNN", "SASRec", ""),
        ("CE with pair bonus", "SASRec", ""),
        ("embeddings only", "SASRec", "retrieval"),
        ("DLLM2Rec", "SASRec", "retrieval"),
        ("DLLM2Rec with cold bonus", "SASRec", "retrieval"),
        ("DLLM2Rec fused with kNN", "SASRec", "retrieval"),
        ("DLLM2Rec with pair bonus", "SASRec", "retrieval"),
        ("DLLM2Rec with both bonuses", "SASRec", "retrieval"),
        ("control shuffled embeddings", "SASRec", "retrieval"),
    ),
    "movielens-pre-norm": (
        _KNN,
        ("teacher retrieval", "", "retrieval"),
        ("RecTools SASRec", "", ""),
        *(
            (row, student, teacher)
            for student in ("SASRec", "GRU4Rec", "Caser")
            for row, teacher in (("CE", ""), ("DLLM2Rec", "retrieval"))
        ),
        ("control shuffled embeddings", "SASRec", "retrieval"),
        ("DLLM2Rec without offset", "SASRec", "retrieval"),
        ("control title neighbours", "", "retrieval"),
        ("control title neighbours of the history", "", "retrieval"),
    ),
    "amazon-games-paper": (
        _KNN,
        ("VMIS-kNN", "", ""),
        ("teacher titles", "", "titles"),
        ("teacher retrieval", "", "retrieval"),
        ("teacher generative", "", "generative"),
        ("CE", "SASRec", ""),
        *_OF_BOTH_TEACHERS,
        ("control title neighbours", "", "titles"),
    ),
    "amazon-games": (
        _KNN,
        ("VMIS-kNN", "", ""),
        ("last-item", "", ""),
        ("teacher titles", "", "titles"),
        ("teacher retrieval", "", "retrieval"),
        ("teacher generative", "", "generative"),
        ("CE", "SASRec", ""),
        *_OF_BOTH_TEACHERS,
        ("CE", "GRU4Rec", ""),
        ("DLLM2Rec", "GRU4Rec", "titles"),
        ("CE", "Caser", ""),
        ("DLLM2Rec", "Caser", "titles"),
        ("control title neighbours", "", "titles"),
        ("control title neighbours", "", "first 6 layers"),
        ("control title neighbours of the history", "", "first 6 layers"),
    ),
    "amazon-games-next": (
        _KNN,
        ("VMIS-kNN", "", ""),
        ("last-item", "", ""),
        ("teacher titles", "", "titles"),
        ("CE", "SASRec", ""),
        ("DLLM2Rec", "SASRec", "titles"),
        ("control title neighbours of the history", "", "first 6 layers"),
    ),
    "amazon-games-original": (
        _ITEM_KNN,
        _KNN,
        ("VMIS-kNN", "", ""),
        ("teacher titles", "", "titles"),
        ("CE", "SASRec", ""),
        ("CE fused with kNN", "SASRec", ""),
        ("CE fused with item kNN", "SASRec", ""),
        ("CE with pair bonus", "SASRec", ""),
        ("DLLM2Rec", "SASRec", "titles"),
        ("DLLM2Rec with cold bonus", "SASRec", "titles"),
        ("DLLM2Rec with pair bonus", "SASRec", "titles"),
        ("DLLM2Rec with both bonuses", "SASRec", "titles"),
    ),
    "amazon-games-paper-original": (
        _ITEM_KNN,
        _KNN,
        ("VMIS-kNN", "", ""),
        ("teacher titles", "", "titles"),
        ("CE", "SASRec", ""),
        ("CE fused with kNN", "SASRec", ""),
        ("CE fused with item kNN", "SASRec", ""),
        ("CE with pair bonus", "SASRec", ""),
        ("DLLM2Rec", "SASRec", "titles"),
        ("DLLM2Rec with pair bonus", "SASRec", "titles"),
        ("DLLM2Rec with both bonuses", "SASRec", "titles"),
    ),
}
"""Rows of the table of each dataset."""

COLUMNS = (
    ("validation", "all", "NDCG@20", "validation NDCG@20"),
    ("test", "all", "NDCG@20", "NDCG@20"),
    ("test", "all", "HR@20", "HR@20"),
    ("test", "cold", "HR@20", "HR@20 of cold targets"),
)
"""Split, targets and metric of each column of figures, with its heading."""

Figures = Mapping[tuple[str, ...], Mapping[str, str]]
"""Maps row, student, teacher, split, targets and metric to the record of the report."""


def findings_table(folder: Path, dataset: str) -> str:
    """Returns the table of `dataset`: the rows `ROWS` of its report in `folder`.

    Raises:
        ValueError: the report lacks a row.
    """
    path = folder / f"{dataset}.csv"
    figures = _read(path)
    head = ["row", "student", "teacher", *(heading for *_, heading in COLUMNS), "seeds"]
    return markdown_table(head, [list(_cells(path, figures, key)) for key in ROWS[dataset]])


def _read(path: Path) -> Figures:
    """Reads a report; where it has test figures of refits, they take the place of the others.

    The cold targets of refits are those of the others: no training interaction has the item.
    """
    names = ("row", "student", "teacher", "split", "metric")
    figures: dict[tuple[str, ...], Mapping[str, str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    for each in sorted(records, key=lambda record: record["protocol"] == "refit"):
        targets = each["targets"]
        if each["protocol"] == "refit":
            targets = {"cold": "cold, refitted", "cold-train": "cold"}.get(targets, targets)
        *key, metric = (each[name] for name in names)
        figures[(*key, targets, metric)] = each
    return figures


def _cells(path: Path, figures: Figures, key: Key) -> Iterator[str]:
    yield from key
    for split, targets, metric, _ in COLUMNS:
        record = figures.get((*key, split, targets, metric))
        if record is None:
            raise ValueError(f"{path}: no row {key[0]!r} of student {key[1]!r}, teacher {key[2]!r}")
        yield _cell(record, has_interval=split == "test")
        seeds = record["seeds"]
    yield seeds


def _cell(record: Mapping[str, str], *, has_interval: bool) -> str:
    mean, low, high = (float(record[name]) for name in ("mean", "low", "high"))
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]" if has_interval else f"{mean:.4f}"
