from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from export.ranking import RankingGraph
from export.to_onnx import export_student
from training.config import StudentConfig
from training.students.registry import build_student
from training.students.student import Student

NUM_ITEMS = 30
MAX_HISTORY_LENGTH = 6


@pytest.fixture(scope="session")
def student() -> Student:
    """A real student of LLM embeddings, untrained, with scores of the size that training gives."""
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=MAX_HISTORY_LENGTH, hidden_size=16)
    student = build_student(config, NUM_ITEMS + 1, torch.randn(NUM_ITEMS + 1, 5))
    for parameter in student.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return student.eval()


@pytest.fixture(scope="session")
def graph_path(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported student."""
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_student(student, path)
    return path


@pytest.fixture(scope="session")
def graph(graph_path: Path) -> RankingGraph:
    """The exported student, open in onnxruntime."""
    return RankingGraph(graph_path)


@pytest.fixture
def retabled(graph_path: Path, tmp_path: Path) -> Callable[[NDArray[np.float32]], RankingGraph]:
    """The exported graph with another item table, as a fault or a tie would make it."""

    def retable(table: NDArray[np.float32]) -> RankingGraph:
        model = onnx.load(graph_path)
        stored = next(each for each in model.graph.initializer if each.name == "table")
        stored.CopyFrom(numpy_helper.from_array(table, "table"))
        onnx.save(model, tmp_path / "retabled.onnx")
        return RankingGraph(tmp_path / "retabled.onnx")

    return retable
