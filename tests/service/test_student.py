from collections.abc import Callable
from pathlib import Path

import pytest

from export.bundle import BundleError, load_bundle
from service.errors import StudentError
from service.recommender import Recommender
from service.student import Student


def test_a_history_that_no_graph_can_read_is_a_student_error(bundle_path: Path) -> None:
    student = Student(load_bundle(bundle_path))
    with pytest.raises(StudentError, match="out of"):
        student.rank([99], 3, mask_seen=True)


def test_a_file_that_is_no_graph_is_refused(bundle_path: Path, tmp_path: Path) -> None:
    bundle = load_bundle(bundle_path)
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Student(type(bundle)(bundle.manifest, bundle.items, broken))


@pytest.mark.parametrize("graph_items", [7, 9])
def test_a_graph_of_another_catalog_fails_the_warm_up(
    save_bundle_with: Callable[..., Path], graph_items: int
) -> None:
    bundle = load_bundle(save_bundle_with(graph_items=graph_items))
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Recommender(bundle).warm_up(max_k=3)


def test_a_graph_without_scores_fails_the_warm_up(save_bundle_with: Callable[..., Path]) -> None:
    bundle = load_bundle(save_bundle_with(scale=float("nan")))
    with pytest.raises(BundleError, match="0 items ranked for k = 3"):
        Recommender(bundle).warm_up(max_k=3)


def test_a_good_bundle_warms_up_for_more_than_its_catalog(bundle_path: Path) -> None:
    Recommender(load_bundle(bundle_path)).warm_up(max_k=100)
