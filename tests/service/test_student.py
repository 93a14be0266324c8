from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.bundle import Bundle, BundleError, load_bundle, save_bundle
from service.errors import StudentError
from service.loading import load_recommender, make_recommender
from service.student import Question, Student


def test_a_history_that_no_graph_can_read_is_a_student_error(bundle_path: Path) -> None:
    student = Student(load_bundle(bundle_path))
    with pytest.raises(StudentError, match="out of"):
        student.rank(Question([99], 3))


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
