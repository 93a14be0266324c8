from pathlib import Path

import pytest
import torch

from benchmarks.load.workloads import K
from benchmarks.subjects.naive_export import export_naively, naive_run
from benchmarks.subjects.subject import load_student, random_student
from training.compute.tensor_file import write_tensors
from training.students.pair_bonus import PairBonus
from training.students.student import Student


@pytest.fixture
def student_with_pairs() -> Student:
    student = random_student(60)
    items = torch.zeros(61, 2, dtype=torch.int32)
    items[7] = torch.tensor([9, 12])
    student.pair_bonus = PairBonus(items, torch.where(items > 0, 3.0, 0.0), 0.5, 2.0)
    return student


def test_the_naive_graph_ranks_as_the_student_does(
    student_with_pairs: Student, tmp_path: Path
) -> None:
    student = student_with_pairs
    export_naively(student, tmp_path / "naive.onnx")
    rank = naive_run(tmp_path / "naive.onnx", student.max_history_length)
    history = [7, 3, 60, 7]
    with torch.no_grad():
        scores = student.score(torch.tensor([history]))[0]
    scores[history] = -torch.inf
    best = torch.topk(scores, K)
    assert [index for index, _ in rank(history)] == best.indices.tolist()
    assert [score for _, score in rank(history)] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_a_saved_student_is_loaded_with_the_same_scores(tmp_path: Path) -> None:
    student, histories = random_student(30), torch.tensor([[4, 9]])
    write_tensors(tmp_path / "student", student.state_dict())
    with torch.no_grad():
        loaded = load_student(tmp_path / "student").score(histories)
        assert torch.equal(loaded, student.score(histories))
