"""Students whose item vectors and queries a test chooses."""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from export.graphs.query_encoder import QueryEncoder
from export.sessions import RankingSession
from training.settings.student import StudentConfig
from training.students.item_table import ItemTable
from training.students.registry import build_student
from training.students.sasrec import SASRec
from training.students.student import Student

NUM_ITEMS = 400
HIDDEN_SIZE = 16
WINDOW = 6
Vectors = NDArray[np.float32]


def some_vectors(num_items: int = NUM_ITEMS) -> Vectors:
    vectors = np.random.default_rng(0).normal(size=(num_items, HIDDEN_SIZE))
    return vectors.astype(np.float32)


def student_of(vectors: Vectors, query: Vectors | None = None) -> Student:
    """A student with these item vectors; with `query`, it has that query after any history."""
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=WINDOW, hidden_size=HIDDEN_SIZE)
    student = build_student(config, 2)  # so that its weights depend on no number of items
    student.item_table = ItemTable(len(vectors) + 1, HIDDEN_SIZE)
    student.item_table.offsets.data = torch.from_numpy(vectors)
    if query is not None:
        assert isinstance(student, SASRec)
        student.norm.weight.data.zero_()
        student.norm.bias.data = torch.from_numpy(query)
    return student.eval()


def summing_encoder(vectors: Vectors, query: Vectors | None = None) -> QueryEncoder:
    """An encoder whose query is the sum of a window's vectors, or always `query`; without torch."""
    table = np.concatenate([np.zeros((1, vectors.shape[1]), dtype=np.float32), vectors])
    constant = None if query is None else query[None]
    return QueryEncoder(
        table=table,
        max_history_length=WINDOW,
        unpadded=lambda: _sum_graph("unpadded", constant),
        padded=lambda: _sum_graph("padded", constant),
        usual_queries=vectors if constant is None else constant,
    )


def _sum_graph(name: str, constant: Vectors | None) -> onnx.GraphProto:
    graph = parser.parse_graph(f"""
        {name} (int64[batch, width] window, float[batch, width, {HIDDEN_SIZE}] vectors)
            => (float[batch, {HIDDEN_SIZE}] query) <int64[1] {name}_axis = {{1}}>
        {{
            {name}_sum = ReduceSum<keepdims = 0>(vectors, {name}_axis)
            {name}_part = Mul({name}_sum, {name}_factor)
            query = Add({name}_part, {name}_constant)
        }}
    """)
    values = np.float32(constant is None), np.zeros(1, np.float32) if constant is None else constant
    for part, value in zip(("factor", "constant"), values, strict=True):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{name}_{part}"))
    return graph


def check_against_all_scores(path: Path, num_requests: int = 200) -> None:
    """Asserts that random requests get the best open items of the whole ranking."""
    graph, generator = RankingSession(path), np.random.default_rng(1)
    for _ in range(num_requests):
        history = generator.integers(0, NUM_ITEMS + 1, (2, generator.integers(1, 12)))
        excluded = generator.integers(0, NUM_ITEMS + 1, (2, generator.integers(0, 30)))
        allowed = generator.random((2, NUM_ITEMS + 1)) < generator.choice([0.02, 0.5, 1])
        k = int(generator.integers(1, 60))
        every, _ = graph.rank(history, NUM_ITEMS, mask_seen=False)
        answers, _ = graph.rank(history, k, mask_seen=True, excluded=excluded, allowed=allowed)
        for line, answer in enumerate(answers):
            closed = {*history[line], *excluded[line], *np.flatnonzero(~allowed[line])}
            expected = [item for item in every[line] if item not in closed][:k]
            assert answer.tolist() == expected + [0] * (k - len(expected))
