"""Paired differences as CSV, from handwritten ranks."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Dataset, Split
from training.evaluation.row_names import (
    CE_ROW,
    DISTILLED_ROW,
    DISTRIBUTIONS_ROW,
    EMBEDDINGS_ROW,
)
from training.evaluation.yardstick import Evaluation
from training.ladder.plan.rows import NEIGHBOURS_ROW, TITLES_ROW
from training.ladder.report.pairs_csv import save_pairs
from training.ladder.results.measured import Figures, Measured


def line(
    row: str, dataset: Dataset, *ranks: int, student: str = "SASRec", teacher: str = ""
) -> Measured:
    """A line with one run for each rank, of the warm test target; the cold one is never found."""
    rows = {split: dataset.example_rows(split) for split in (Split.VALIDATION, Split.TEST)}
    evaluations = {
        Split.VALIDATION: [Evaluation(rows[Split.VALIDATION], np.array([each])) for each in ranks],
        Split.TEST: [Evaluation(rows[Split.TEST], np.array([each, 0])) for each in ranks],
    }
    seeds: Sequence[int] = range(len(ranks)) if student else ()
    return Measured(row, evaluations, 1.0, student=student, teacher=teacher, seeds=seeds)


@pytest.fixture
def pairs(tiny_dataset: Dataset, tmp_path: Path) -> list[dict[str, str]]:
    lines = [
        line(NEIGHBOURS_ROW, tiny_dataset, 3, student=""),
        line(TITLES_ROW, tiny_dataset, 1, student="", teacher="titles"),
        line(CE_ROW, tiny_dataset, 3, 0),
        line(CE_ROW, tiny_dataset, 3, student="Caser"),
        line(EMBEDDINGS_ROW, tiny_dataset, 3, 3, 3, teacher="titles"),
        line(DISTILLED_ROW, tiny_dataset, 1, 1, 1, teacher="titles"),
    ]
    save_pairs(lines, Figures(tiny_dataset, num_draws=100), tmp_path / "pairs.csv")
    with (tmp_path / "pairs.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_student_is_compared_with_what_has_no_teacher_and_with_rows_of_one_part_less(
    pairs: list[dict[str, str]],
) -> None:
    against = {
        (each["against"], each["against_student"])
        for each in pairs
        if (each["row"], each["teacher"]) == (DISTILLED_ROW, "titles")
    }
    assert against == {
        (NEIGHBOURS_ROW, ""),
        (CE_ROW, "SASRec"),
        (EMBEDDINGS_ROW, "SASRec"),
    }


def test_a_fusions_student_is_compared_with_that_of_a_fusion_without_titles(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    kinds = ("titles", "fusion", "fusion-without-titles")
    lines = [line(DISTRIBUTIONS_ROW, tiny_dataset, 1, 3, teacher=kind) for kind in kinds]
    save_pairs(lines, Figures(tiny_dataset, num_draws=100), tmp_path / "pairs.csv")

    with (tmp_path / "pairs.csv").open() as file:
        taught_by = {(each["teacher"], each["against"]) for each in csv.DictReader(file)}

    assert taught_by == {("titles", DISTRIBUTIONS_ROW), ("fusion", DISTRIBUTIONS_ROW)}


def test_a_pair_has_its_difference_with_interval_on_the_seeds_that_both_have(
    pairs: list[dict[str, str]],
) -> None:
    """Rank 1 is an NDCG of 1, rank 3 of 0.5; the cold target is never found."""
    found = {
        (each["against"], each["targets"]): each
        for each in pairs
        if each["row"] == DISTILLED_ROW and each["split"] == "test" and each["metric"] == "NDCG@20"
    }
    assert float(found[NEIGHBOURS_ROW, "warm"]["difference"]) == 0.5
    assert float(found[NEIGHBOURS_ROW, "all"]["difference"]) == 0.25
    assert float(found[NEIGHBOURS_ROW, "cold"]["difference"]) == 0
    assert found[NEIGHBOURS_ROW, "all"]["seeds"] == "3"
    # CE has two seeds, of rank 3 and of none: 0.5 and 1 below.
    assert found[CE_ROW, "warm"]["seeds"] == "2"
    assert float(found[CE_ROW, "warm"]["difference"]) == 0.75
    assert float(found[CE_ROW, "warm"]["low"]) < 0.75 < float(found[CE_ROW, "warm"]["high"])
    assert {each["protocol"] for each in pairs} == {"train"}


def test_targets_of_which_no_example_is_compared_have_no_record(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """The teacher has answered the example of the warm target alone."""
    warm = tiny_dataset.example_rows(Split.TEST)[:1]
    answers = {Split.TEST: [Evaluation(warm, np.array([3]))]}
    lines = [
        line(CE_ROW, tiny_dataset, 1),
        Measured("teacher tf-idf", answers, 1.0, teacher="tf-idf"),
    ]
    save_pairs(lines, Figures(tiny_dataset, num_draws=100), tmp_path / "pairs.csv")

    with (tmp_path / "pairs.csv").open() as file:
        found = {(each["targets"], each["difference"]) for each in csv.DictReader(file)}

    assert {targets for targets, _ in found} == {"all", "warm"}
    assert "nan" not in {difference for _, difference in found}
