from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from export.graphs.common_case_graph import export_common_case
from export.graphs.ranking_graph import export_student
from export.sessions import CommonCaseSession, RankingSession
from tests.exported_once import exported_once, torch_exports
from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.distillation.checkpoint import Checkpoint, Description
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.student import Student

__all__ = ["exported_once", "torch_exports"]  # fixtures for all tests below

NUM_ITEMS = 30
CONFIG = StudentConfig(max_history_length=6, hidden_size=16)


@pytest.fixture(scope="session")
def item_embeddings() -> NDArray[np.float32]:
    """LLM embeddings of the items, rounded to the half precision of stored knowledge."""
    generator = np.random.default_rng(0)
    embeddings = generator.normal(loc=3, scale=2, size=(NUM_ITEMS + 1, 5))
    return embeddings.astype(np.float16).astype(np.float32)


@pytest.fixture(scope="session")
def student(item_embeddings: NDArray[np.float32]) -> Student:
    """An untrained student with LLM embeddings and scores of the size that training gives."""
    torch.manual_seed(0)
    student = build_student(CONFIG, NUM_ITEMS + 1, torch.from_numpy(item_embeddings))
    for parameter in student.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return student.eval()


@pytest.fixture(scope="session")
def graph_path(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's ranking graph."""
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_student(student, path)
    return path


@pytest.fixture(scope="session")
def graph(graph_path: Path) -> RankingSession:
    """The student's ranking graph, open in onnxruntime."""
    return RankingSession(graph_path)


@pytest.fixture(scope="session")
def common_case_path(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's common-case graph."""
    path = tmp_path_factory.mktemp("common_case") / "plain.onnx"
    assert export_common_case(student, path)
    return path


@pytest.fixture(scope="session")
def common_case(common_case_path: Path) -> CommonCaseSession:
    """The student's common-case graph, open in onnxruntime."""
    return CommonCaseSession(common_case_path)


@pytest.fixture
def retabled(graph_path: Path, tmp_path: Path) -> Callable[[NDArray[np.float32]], RankingSession]:
    """Makes the ranking graph with another item table, as a fault or a tie would."""

    def retable(table: NDArray[np.float32]) -> RankingSession:
        model = onnx.load(graph_path)
        stored = next(each for each in model.graph.initializer if each.name == "table")
        stored.CopyFrom(numpy_helper.from_array(table, "table"))
        onnx.save(model, tmp_path / "retabled.onnx")
        return RankingSession(tmp_path / "retabled.onnx")

    return retable


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Twelve users who meet distinct items; the last is for test, the one before for validation."""
    generator = np.random.default_rng(0)
    lengths = range(3, 15)
    histories = [generator.permutation(NUM_ITEMS)[:length] + 1 for length in lengths]
    offsets = np.cumsum([0, *lengths])
    splits = np.full(offsets[-1], Split.TRAIN)
    splits[offsets[1:] - 1] = Split.TEST
    splits[offsets[1:] - 2] = Split.VALIDATION
    items = range(1, NUM_ITEMS + 1)
    catalog = Catalog(
        item_ids=tuple(f"id-{item}" for item in items),
        titles=tuple(f"Film {item}" for item in items),
        attributes=tuple({"genres": ("Drama", f"G{item % 3}")} for item in items),
    )
    users = tuple(f"user-{length}" for length in lengths)
    return make_dataset("films", catalog, users, np.concatenate(histories), offsets, splits)


@pytest.fixture(scope="session")
def checkpoint(student: Student, dataset: Dataset) -> Checkpoint:
    """The student as `distill` would have left it."""
    description = Description(
        student=CONFIG,
        variant="distilled",
        seed=3,
        dataset_fingerprint=dataset.fingerprint,
        embedding_weight=1.0,
        best_epoch=1,
        validation={"NDCG@20": 0.25},
        seconds=0.0,
    )
    return Checkpoint(description, student.state_dict())
