import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from export.graphs.ranking_graph import export_student
from export.sessions import RankingSession
from training.settings.student import STUDENT_NAMES, BlockKind, StudentConfig, StudentKind
from training.students.registry import build_student, student_class
from training.students.student import Student

CONFIG = StudentConfig(max_history_length=6, hidden_size=8, num_layers=2, num_heads=2, dropout=0.5)
HISTORY = torch.tensor([[3, 1, 4, 1, 5]])


def test_every_registered_kind_has_a_class_of_its_name() -> None:
    assert set(STUDENT_NAMES) == set(get_args(StudentKind))
    for kind, name in STUDENT_NAMES.items():
        assert issubclass(student_class(kind), Student)
        assert student_class(kind).__name__ == name


@pytest.fixture(params=[*STUDENT_NAMES, "sasrec, original", "sasrec, ligr"])
def config(request: pytest.FixtureRequest) -> StudentConfig:
    """Settings of each kind of student in turn, and of SASRec with each of its blocks."""
    kind, _, block = request.param.partition(", ")
    return CONFIG.model_copy(update={"kind": kind, "block": block or "pre-norm"})


@pytest.fixture
def student(config: StudentConfig) -> Student:
    """An untrained student with weights far from zero, so that every part shows."""
    torch.manual_seed(0)
    student = build_student(config, num_rows=8).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return student


def encode(student: Student, histories: Tensor) -> Tensor:
    return student.encode(histories, student.item_table()).detach()


def test_a_later_item_changes_no_earlier_query(student: Student) -> None:
    changed = HISTORY.clone()
    changed[0, 3] = 7

    before, after = encode(student, HISTORY), encode(student, changed)

    torch.testing.assert_close(after[:, :3], before[:, :3])
    assert not torch.allclose(after[:, 3:], before[:, 3:])


def test_an_earlier_item_changes_the_newest_query(student: Student) -> None:
    changed = HISTORY.clone()
    changed[0, 0] = 7

    assert not torch.allclose(encode(student, changed)[:, -1], encode(student, HISTORY)[:, -1])


def test_the_order_of_the_history_counts(student: Student) -> None:
    swapped = HISTORY[:, [1, 0, 2, 3, 4]]

    assert not torch.allclose(encode(student, swapped)[:, -1], encode(student, HISTORY)[:, -1])


def test_padding_in_front_changes_no_query(student: Student) -> None:
    padded = torch.cat([torch.zeros(1, 1, dtype=torch.int64), HISTORY], dim=1)

    torch.testing.assert_close(encode(student, padded)[:, 1:], encode(student, HISTORY))


def test_a_query_inside_a_window_is_the_query_of_the_history_that_ends_there(
    student: Student,
) -> None:
    window = encode(student, HISTORY)

    for length in range(1, HISTORY.shape[1] + 1):
        prefix = encode(student, HISTORY[:, :length])
        torch.testing.assert_close(window[:, length - 1], prefix[:, -1])


def test_encode_newest_is_the_last_query_of_encode(student: Student) -> None:
    histories = torch.tensor([[0, 0, 2, 6, 1], [3, 1, 4, 1, 5]])

    newest = student.encode_newest(histories, student.item_table())

    torch.testing.assert_close(newest, encode(student, histories)[:, -1])


def test_encode_unpadded_is_encode_newest_for_histories_without_padding(
    student: Student,
) -> None:
    histories, table = torch.tensor([[2, 6, 1], [3, 1, 4]]), student.item_table()

    unpadded = student.encode_unpadded(histories, table)

    torch.testing.assert_close(unpadded, student.encode_newest(histories, table))


def test_an_all_padding_history_has_finite_scores(student: Student) -> None:
    scores = student.score(torch.zeros(1, 3, dtype=torch.int64))

    assert torch.isfinite(scores[:, 1:]).all()


def test_scores_are_dot_products_with_the_table_and_minus_infinity_for_padding(
    student: Student,
) -> None:
    scores = student.score(HISTORY).tolist()[0]
    query, table = encode(student, HISTORY)[0, -1].tolist(), student.item_table().tolist()

    products = [sum(q * e for q, e in zip(query, row, strict=True)) for row in table]
    assert scores[0] == -math.inf
    assert scores[1:] == pytest.approx(products[1:], abs=1e-5)


def test_every_weight_gets_a_gradient_from_the_queries(config: StudentConfig) -> None:
    torch.manual_seed(0)
    student = build_student(config, 8, torch.randn(8, 12)).eval()

    torch.autograd.backward(student.encode(HISTORY, student.item_table()).pow(3).sum())

    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's exporter warns about itself
# SASRec, with either kind of blocks, is exported and compared by tests/export/test_freeze.py.
@pytest.mark.parametrize("config", sorted({*STUDENT_NAMES} - {"sasrec"}), indirect=True)
def test_the_exported_student_ranks_as_the_student(student: Student, tmp_path: Path) -> None:
    export_student(student, tmp_path / "model.onnx")
    graph = RankingSession(tmp_path / "model.onnx")

    for length in range(1, 9):
        history = torch.arange(length)[None] % 7 + 1
        indices, scores = graph.rank(history.numpy(), 7, mask_seen=False)
        expected = student.score(history[:, -CONFIG.max_history_length :]).detach()
        torch.testing.assert_close(
            torch.from_numpy(scores), expected.gather(1, torch.from_numpy(indices))
        )


@pytest.mark.parametrize("block", get_args(BlockKind))
def test_histories_that_share_a_row_have_the_queries_that_each_has_alone(block: BlockKind) -> None:
    torch.manual_seed(0)
    student = build_student(CONFIG.model_copy(update={"block": block}), num_rows=8).eval()
    histories = torch.tensor([[3, 1, 4, 2, 5, 0], [6, 0, 0, 0, 0, 0]])
    windows = torch.tensor([[7, 7, 7, 8, 8, 0], [9, 0, 0, 0, 0, 0]])

    packed = student.encode_packed(histories, windows, student.item_table()).detach()

    alone = [encode(student, torch.tensor([each]))[0] for each in ([3, 1, 4], [2, 5], [6])]
    torch.testing.assert_close(packed[0, :5], torch.cat(alone[:2]))
    torch.testing.assert_close(packed[1, :1], alone[2])
