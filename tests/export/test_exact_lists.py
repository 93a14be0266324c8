"""The best items that NumPy finds, compared with those of an exact graph."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.exact_lists import best_items, queries_after
from export.graphs import codes
from export.graphs.query_encoder import encoder_of
from export.graphs.ranking_graph import export_ranking_graph
from export.sessions import RankingSession
from tests.export.graphs.searched import (
    NUM_ITEMS,
    WINDOW,
    some_vectors,
    student_of,
    summing_encoder,
)

HISTORIES = [np.array([3, 5]), np.array([7]), np.array([1, 2, 3, 4, 5, 6, 7, 8])]


@pytest.mark.parametrize("rows_at_once", [7, 1_000])
def test_the_best_items_are_those_of_the_exact_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(codes, "ROWS_AT_ONCE", rows_at_once)
    encoder, path = summing_encoder(some_vectors()), tmp_path / "model.onnx"
    export_ranking_graph(encoder, path)
    graph = RankingSession(path)
    queries = queries_after(encoder, HISTORIES)
    allowed = np.arange(NUM_ITEMS + 1) % 3 == 0
    for mask in (None, allowed):
        found = best_items(encoder.table, queries, HISTORIES, 10, mask)
        for history, items in zip(HISTORIES, found, strict=True):
            one = None if mask is None else mask[None]
            expected = graph.rank(history[None], 10, mask_seen=True, allowed=one)[0][0]
            assert items.tolist() == expected.tolist()


def test_a_trained_students_queries_are_those_of_torch() -> None:
    student = student_of(some_vectors())
    table = student.item_table().detach()
    queries = queries_after(encoder_of(student), HISTORIES)
    for history, query in zip(HISTORIES, queries, strict=True):
        with torch.no_grad():
            expected = student.encode_newest(torch.tensor(history[None, -WINDOW:]), table)[0]
        assert np.allclose(query, expected.numpy(), atol=1e-5)


def test_where_fewer_items_are_left_the_list_is_shorter() -> None:
    table = np.array([[9], [1], [3], [2], [4]], dtype=np.float32)
    query, allowed = np.ones((1, 1), np.float32), np.array([True, True, True, True, False])
    assert best_items(table, query, [np.array([2])], 3, allowed)[0].tolist() == [3, 1]
