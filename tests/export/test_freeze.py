from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from export.contract.bundle import Bundle, BundleLayout, Item, load_bundle
from export.contract.tensors import ENCODER_TENSORS
from export.figures import measure, metrics_of
from export.freeze import export_graphs, freeze
from export.graphs.item_encoder import ItemEncoderError
from export.parity.check import ParityError
from export.sessions import CommonCaseSession, RankingSession
from tests.export.conftest import CONFIG, NUM_ITEMS
from training.data.dataset import Dataset
from training.distillation.checkpoint import Checkpoint
from training.evaluation.yardstick import ranker_of
from training.students.registry import build_student
from training.students.scorer import StudentScorer
from training.students.student import Student


@pytest.fixture(scope="module")
def bundle(
    checkpoint: Checkpoint,
    dataset: Dataset,
    item_embeddings: NDArray[np.float32],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """The frozen checkpoint."""
    folder = tmp_path_factory.mktemp("frozen") / "bundle"
    freeze(checkpoint, dataset, folder, {"made_from": "a test"}, item_embeddings)
    return load_bundle(folder)


def test_a_bundle_names_its_items_in_index_order_with_training_popularity(
    bundle: Bundle, dataset: Dataset
) -> None:
    popularity = int(dataset.train_counts()[2])
    attributes = {"genres": ["Drama", "G2"]}
    assert bundle.items[1] == Item("id-2", "Film 2", popularity, attributes)
    assert len(bundle.items) == 30


def with_block(block: str) -> Student:
    """A student with other blocks than the default, and weights far from zero."""
    torch.manual_seed(0)
    config = CONFIG.model_copy(update={"block": block, "feed_forward_factor": 2})
    student = build_student(config, NUM_ITEMS + 1).eval()
    for parameter in student.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return student


@pytest.mark.slow
def test_both_graphs_of_a_student_with_the_original_blocks_rank_as_it_does(tmp_path: Path) -> None:
    assert 0 < export_graphs(with_block("original"), tmp_path, num_random=50).parity_error < 1e-4


@pytest.mark.slow
def test_both_graphs_of_a_student_with_gated_blocks_rank_as_it_does(tmp_path: Path) -> None:
    graphs = export_graphs(with_block("ligr"), tmp_path, num_random=50)

    assert 0 < graphs.parity_error < 1e-4
    # The gate of the first block depends on one item only, so it is computed once for each item.
    operators = [node.op_type for node in onnx.load(tmp_path / "plain.onnx").graph.node]
    assert operators.index("Sigmoid") < operators.index("Attention")
    assert {"Attention", "Sigmoid"} <= set(operators)


def test_a_manifest_says_what_was_frozen(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.student, manifest.max_history_length) == ("sasrec", 6)
    assert (manifest.num_items, manifest.metrics["seed"]) == (30, 3)
    assert 0 < manifest.parity_error < 1e-4
    assert manifest.provenance == {"made_from": "a test"}


def test_the_metrics_of_a_bundle_are_those_of_torch(
    bundle: Bundle, student: Student, dataset: Dataset
) -> None:
    ranker = ranker_of(StudentScorer(student, dataset), dataset)
    torch = metrics_of(measure(ranker, dataset, "torch"))
    assert torch["test"]["examples"] == 12
    assert torch["test"]["HR@20"] > 0
    assert bundle.manifest.metrics == {"seed": 3, **torch}


def test_a_bundle_holds_the_newest_part_of_real_histories(bundle: Bundle, dataset: Dataset) -> None:
    assert len(bundle.histories) == 16
    last_user = dataset.item_indices[dataset.user_offsets[-2] :]
    assert bundle.histories[-1] == tuple(f"id-{item}" for item in last_user[-7:-1])


def test_a_bundle_makes_vectors_of_embeddings_as_the_item_table_does(
    bundle: Bundle, student: Student, item_embeddings: NDArray[np.float32]
) -> None:
    """Without its offset, a trained item gets the vector that eq. 13 gives its embedding."""
    encoder = ort.InferenceSession(bundle.read_item_encoder())
    (vectors,) = encoder.run(None, {ENCODER_TENSORS.embeddings: item_embeddings[1:]})
    table, offsets = student.item_table().detach()[1:], student.item_table.offsets.detach()
    np.testing.assert_allclose(vectors, (table - offsets).numpy(), atol=1e-5)


def test_the_common_case_graph_of_a_bundle_ranks_as_its_ranking_graph(bundle: Bundle) -> None:
    layout = BundleLayout(bundle.folder)
    items, _ = CommonCaseSession(layout.common_case).rank(np.array([[1, 2, 3]]), 20)
    expected, _ = RankingSession(layout.model).rank(np.array([[1, 2, 3]]), 20, mask_seen=True)
    assert items.tolist() == expected.tolist()


def test_other_embeddings_than_those_of_the_training_are_refused(
    checkpoint: Checkpoint, dataset: Dataset, item_embeddings: NDArray[np.float32], tmp_path: Path
) -> None:
    with pytest.raises(ItemEncoderError, match="trained with other LLM embeddings"):
        freeze(checkpoint, dataset, tmp_path / "bundle", {}, item_embeddings[::-1].copy())
    assert not (tmp_path / "bundle").exists()


def test_a_graph_without_parity_becomes_no_bundle(
    checkpoint: Checkpoint,
    dataset: Dataset,
    retabled: Callable[[NDArray[np.float32]], RankingSession],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exporter writes a graph that scores every item 0."""
    retabled(np.zeros((31, 16), dtype=np.float32))
    wrong = (tmp_path / "retabled.onnx").read_bytes()
    monkeypatch.setattr(
        "export.scorer.export_ranking_graph", lambda _, path: path.write_bytes(wrong)
    )
    with pytest.raises(ParityError):
        freeze(checkpoint, dataset, tmp_path / "bundle", {})
    assert not (tmp_path / "bundle").exists()


def test_a_common_case_graph_that_proves_little_is_left_out(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export_graphs(student, tmp_path, num_random=4).common_case == tmp_path / "plain.onnx"
    monkeypatch.setattr("export.freeze.proven_share", lambda *_: 0.5)
    assert export_graphs(student, tmp_path, num_random=4).common_case is None
