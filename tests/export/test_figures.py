from dataclasses import replace

import numpy as np
import pytest

from export.contract.manifest import Figure
from export.figures import Comparison, Counterpart, RowName, teacher_evaluations
from training.data.dataset import Dataset, Split
from training.evaluation.baselines.runs import BySplit
from training.evaluation.yardstick import Evaluation
from training.knowledge import Answers, Knowledge

STUDENT = RowName("DLLM2Rec", "SASRec", teacher_free=False)
TEACHER = RowName("teacher titles", teacher_free=False)


def ranked(dataset: Dataset, rank: int) -> BySplit:
    """A ranker that puts every next item at `rank`."""
    evaluations = {}
    for split in (Split.VALIDATION, Split.TEST):
        rows = dataset.example_rows(split)
        evaluations[split] = Evaluation(rows, np.full(len(rows), rank))
    return evaluations


@pytest.fixture
def comparison(dataset: Dataset) -> Comparison:
    """Two baselines, and a teacher that ranked five test examples right."""
    rows = dataset.example_rows(Split.TEST)[:5]
    return Comparison(
        student=STUDENT,
        is_taught=True,
        seed=2,
        baselines={"popularity": ranked(dataset, 0), "last-item": ranked(dataset, 1)},
        teacher=(TEACHER, {Split.TEST: Evaluation(rows, np.ones(5, dtype=np.int64))}),
        num_draws=100,
    )


def figure(figures: tuple[Figure, ...], row: str, split: str, metric: str) -> Figure:
    (found,) = [
        each for each in figures if (each.row, each.split, each.metric) == (row, split, metric)
    ]
    return found


def test_the_student_every_baseline_and_the_teacher_have_figures_on_both_splits_they_ranked(
    comparison: Comparison, dataset: Dataset
) -> None:
    figures = comparison.figures(ranked(dataset, 3), dataset)
    assert [(each.row, each.split, each.metric) for each in figures] == [
        *[("DLLM2Rec", split, metric) for split in SPLITS for metric in METRICS],
        *[("popularity", split, metric) for split in SPLITS for metric in METRICS],
        *[("last-item", split, metric) for split in SPLITS for metric in METRICS],
        *[("teacher titles", "test", metric) for metric in METRICS],
    ]
    assert {(each.protocol, each.targets, each.seeds) for each in figures} == {
        ("validation", "all", 1)
    }


def test_a_figure_is_the_mean_over_the_examples_that_were_ranked(
    comparison: Comparison, dataset: Dataset
) -> None:
    """With every next item at rank 3, NDCG is 1 / log2(4)."""
    figures = comparison.figures(ranked(dataset, 3), dataset)
    students = figure(figures, "DLLM2Rec", "test", "NDCG@20")
    assert (students.mean, students.low, students.high) == (0.5, 0.5, 0.5)
    assert (students.student, students.teacher_free) == ("SASRec", False)
    assert figure(figures, "popularity", "validation", "HR@20").mean == 0
    assert figure(figures, "popularity", "validation", "HR@20").teacher_free
    teachers = figure(figures, "teacher titles", "test", "HR@20")
    assert (teachers.mean, teachers.teacher_free) == (1, False)


def test_an_interval_spans_what_other_users_would_have_given(
    comparison: Comparison, dataset: Dataset
) -> None:
    student = ranked(dataset, 1)
    student[Split.TEST].ranks[::2] = 0  # every other one of twelve users
    found = figure(comparison.figures(student, dataset), "DLLM2Rec", "test", "HR@20")
    assert found.mean == 0.5
    assert 0.1 < found.low < 0.4 < 0.6 < found.high < 0.9


@pytest.fixture
def twelve_users_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.intervals.FEWEST_USERS", 12)


@pytest.mark.usefixtures("twelve_users_are_enough")
def test_the_verdict_names_the_student_and_each_baseline(
    comparison: Comparison, dataset: Dataset
) -> None:
    verdict = comparison.verdict(ranked(dataset, 3), dataset)
    assert verdict.endswith(" It was not compared with a student without a teacher.")
    assert verdict.startswith("On 12 test examples, the NDCG@20 of SASRec DLLM2Rec (seed 2) is ")
    assert "above popularity by 0.5000 [0.5000, 0.5000]" in verdict
    assert "below last-item by 0.5000 [0.5000, 0.5000]" in verdict


def test_a_teacher_without_an_llm_is_a_teacher_in_the_verdict(
    comparison: Comparison, dataset: Dataset
) -> None:
    by_words = replace(comparison, student=STUDENT._replace(teacher_free=True))
    without = " It was not compared with a student without a teacher."
    assert by_words.verdict(ranked(dataset, 3), dataset).endswith(without)
    untaught = replace(by_words, is_taught=False)
    assert without not in untaught.verdict(ranked(dataset, 3), dataset)


@pytest.mark.usefixtures("twelve_users_are_enough")
def test_the_student_without_a_teacher_has_figures_and_is_one_of_those_in_the_verdict(
    comparison: Comparison, dataset: Dataset
) -> None:
    counterpart = Counterpart(RowName("CE", "SASRec"), 4, ranked(dataset, 2))
    compared = replace(comparison, counterpart=counterpart)
    figures = compared.figures(ranked(dataset, 3), dataset)
    rows = list(dict.fromkeys(each.row for each in figures))
    assert rows == ["DLLM2Rec", "CE", "popularity", "last-item", "teacher titles"]
    # A next item at rank 2 has 1 / log2(3) = 0.6309, at rank 3 1 / log2(4) = 0.5.
    assert figure(figures, "CE", "test", "NDCG@20").mean == pytest.approx(0.6309, abs=1e-4)
    assert (
        "below last-item by 0.5000 [0.5000, 0.5000] and the same student without a teacher "
        "(seed 4) by 0.1309 [0.1309, 0.1309]" in compared.verdict(ranked(dataset, 3), dataset)
    )
    text = compared.verdict(ranked(dataset, 3), dataset)
    assert text.endswith(" Whether the teacher helped, `evaluate` tells, over all seeds.")


def test_a_teacher_is_measured_on_the_examples_that_it_has_answered(dataset: Dataset) -> None:
    rows = dataset.example_rows(Split.TEST)[[1, 4]]
    next_items = dataset.item_indices[rows].astype(np.int32)
    nothing = answers(np.zeros(0, dtype=np.int64), np.zeros((0, 20), dtype=np.int32))
    rankings = np.zeros((2, 20), dtype=np.int32)
    rankings[:, 0] = next_items
    knowledge = Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=nothing,
        validation=nothing,
        test=answers(rows, rankings),
        item_embeddings=np.zeros((31, 5), dtype=np.float32),
        provenance={},
    )
    evaluations = teacher_evaluations(knowledge, dataset)
    assert list(evaluations) == [Split.TEST]
    assert evaluations[Split.TEST].rows.tolist() == rows.tolist()
    assert evaluations[Split.TEST].ranks.tolist() == [1, 1]


SPLITS = ("validation", "test")
METRICS = ("NDCG@20", "HR@20")


def answers(rows: np.ndarray, rankings: np.ndarray) -> Answers:
    return Answers(
        rows=rows,
        rankings=rankings,
        distances=np.zeros(rankings.shape, dtype=np.float32),
        next_item_distances=np.zeros(len(rows), dtype=np.float32),
    )
