"""Reads NDCG@20 of each row from a report of the ladder, for the tables of documents."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from training.evaluation.baselines.registry import BASELINES
from training.evaluation.yardstick import SELECTION_METRIC

_TEACHER = "teacher "


class RankingFigures:
    """NDCG@20 over all targets, by row and student, of one `docs/results/NAME.csv`.

    A row with several teachers counts with its first one. If students were refitted, only the
    refits and the teachers count, unless `refits` is false; teachers are never refitted.
    """

    def __init__(self, path: Path, *, refits: bool = True) -> None:
        self._path = path
        self._figures: dict[tuple[str, str, str], dict[str, str]] = {}
        self._validation: dict[tuple[str, str, str], dict[str, str]] = {}
        with path.open(encoding="utf-8", newline="") as file:
            records = list(csv.DictReader(file))
        self.has_refits = refits and any(_is_refit(each) and each["student"] for each in records)
        for each in records:
            if (each["metric"], each["targets"]) != (SELECTION_METRIC, "all"):
                continue
            key = each["split"], each["row"], each["student"]
            if _is_refit(each) == self.has_refits or each["row"].startswith(_TEACHER):
                self._figures.setdefault(key, each)
            if each["split"] == "validation":  # refits have none
                self._validation.setdefault(key, each)

    def cell(self, row: str, student: str = "") -> str:
        """Returns test NDCG@20 of a row with its 95 % interval, as `0.0586 [0.0499, 0.0686]`.

        Raises:
            ValueError: the report has no such row.
        """
        if (figure := self._figures.get(("test", row, student))) is None:
            raise ValueError(f"{self._path}: no row {row!r} of student {student!r}")
        mean, low, high = (float(figure[name]) for name in ("mean", "low", "high"))
        return f"{mean:.4f} [{low:.4f}, {high:.4f}]"

    def student_cell(self, rows: Sequence[str], student: str) -> str:
        """Returns the cell of a student's first row of `rows` that the report has."""
        return self.cell(
            next(row for row in rows if ("test", row, student) in self._figures), student
        )

    def best_teacher(self) -> str:
        """Returns the row of the teacher with the highest NDCG@20 on validation examples."""
        return self._best(lambda row: row.startswith(_TEACHER))

    def best_baseline(self) -> str:
        """Returns the row of the baseline with the highest NDCG@20 on validation examples."""
        return self._best(lambda row: row in BASELINES)

    def _best(self, is_candidate: Callable[[str], bool]) -> str:
        on_validation = {
            row: float(figure["mean"])
            for (_, row, _), figure in self._validation.items()
            if is_candidate(row)
        }
        return max(on_validation, key=lambda row: on_validation[row])


def _is_refit(record: Mapping[str, str]) -> bool:
    return record.get("protocol") == "refit"
