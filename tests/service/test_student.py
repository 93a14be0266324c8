import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.bundle import Bundle, BundleError, load_bundle, save_bundle
from service.errors import StudentError
from service.loading import load_recommender, make_recommender
from service.student import Question, Ranking, Student


def test_a_history_that_no_graph_can_read_is_a_student_error(bundle_path: Path) -> None:
    student = Student(load_bundle(bundle_path))
    with pytest.raises(StudentError, match="out of"):
        student.rank(Question([99], 3))


def test_a_student_answers_up_to_its_catalog_and_what_was_added_to_it(bundle_path: Path) -> None:
    student = Student(load_bundle(bundle_path))
    question = Question([1], 20, mask_seen=False)
    assert len(student.rank(question)) == 8
    taller = student.with_added(np.ones((2, student.added.shape[1]), dtype=np.float32))
    assert len(taller.rank(question)) == 10
    assert len(student.rank(question)) == 8


def test_a_question_leaves_nothing_to_the_next_one(bundle_path: Path) -> None:
    """What stays bound from run to run is what both have."""
    student, plain = Student(load_bundle(bundle_path)), Question([3], 4)
    answer = student.rank(plain)
    only_a = np.arange(9) == 1
    assert [index for index, _ in student.rank(Question([3], 4, allowed=only_a))] == [1]
    assert student.rank(plain) == answer
    assert student.rank(Question([3], 4, excluded=[answer[0][0]]))[0] != answer[0]
    with pytest.raises(StudentError):
        student.rank(Question([99], 4))
    assert student.rank(plain) == answer


def test_a_mask_is_let_go_of_with_its_answer(bundle_path: Path) -> None:
    """It is as long as the catalog, and filters make many."""
    student, mask = Student(load_bundle(bundle_path)), np.arange(9) < 4
    only = Question([3], 2, allowed=mask)
    assert {index for index, _ in student.rank(only)} <= {1, 2, 3}
    del only
    assert sys.getrefcount(mask) == 2  # its name here, and the argument


def test_histories_do_not_mix_with_those_of_their_length_before_them(bundle_path: Path) -> None:
    bundle = load_bundle(bundle_path)
    questions = [Question(history, 5) for history in ([1, 2], [3], [2, 1], [7], [1, 2])]
    alone = [Student(bundle).rank(each) for each in questions]

    student = Student(bundle)
    assert [student.rank(each) for each in questions] == alone
    assert alone[0] != alone[2]
    assert alone[1] != alone[3]


def test_threads_do_not_answer_for_each_other(bundle_path: Path) -> None:
    student = Student(load_bundle(bundle_path))
    questions = [Question([item], 5) for item in range(1, 9)]
    expected = [student.rank(each) for each in questions]

    def ask(question: Question) -> list[Ranking]:
        return [student.rank(question) for _ in range(300)]

    with ThreadPoolExecutor(len(questions)) as threads:
        answers = list(threads.map(ask, questions))
    for mine, due in zip(answers, expected, strict=True):
        assert all(each == due for each in mine)


@pytest.fixture
def bundle_of(bundle_path: Path, tmp_path: Path) -> Callable[[bytes], Bundle]:
    """A bundle with that graph, whatever it is."""

    def save(graph: bytes) -> Bundle:
        (tmp_path / "model.onnx").write_bytes(graph)
        facts: dict[str, Any] = {"metrics": {}, "parity_error": 0.0, "provenance": {}}
        save_bundle(
            tmp_path / "bundle",
            tmp_path / "model.onnx",
            load_bundle(bundle_path).items,
            student="none",
            max_history_length=4,
            **facts,
        )
        return load_bundle(tmp_path / "bundle")

    return save


def test_a_file_that_is_no_graph_is_refused(bundle_of: Callable[[bytes], Bundle]) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Student(bundle_of(b"no graph"))


def test_a_graph_without_what_the_contract_names_is_refused(
    bundle_path: Path, bundle_of: Callable[[bytes], Bundle]
) -> None:
    encoder = load_bundle(bundle_path).read_item_encoder()
    assert encoder is not None
    with pytest.raises(BundleError, match=r"model\.onnx: no input or output history, .*, table"):
        Student(bundle_of(encoder))


@pytest.mark.parametrize("graph_items", [7, 9])
def test_a_graph_of_another_catalog_fails_the_warm_up(
    save_bundle_with: Callable[..., Path], graph_items: int
) -> None:
    bundle = load_bundle(save_bundle_with(graph_items=graph_items))
    with pytest.raises(BundleError, match=r"model\.onnx"):
        make_recommender(bundle, max_k=3)


def test_a_graph_without_scores_fails_the_warm_up(save_bundle_with: Callable[..., Path]) -> None:
    bundle = load_bundle(save_bundle_with(scale=float("nan")))
    with pytest.raises(BundleError, match="0 items with a finite score, 3 were asked for"):
        make_recommender(bundle, max_k=3)


def test_a_good_bundle_warms_up_for_more_than_its_catalog(bundle_path: Path) -> None:
    assert len(load_recommender(bundle_path, max_k=100).catalog) == 8
