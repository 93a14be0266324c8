"""Measures the search that `export` chooses, through the service's own student."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from export.graphs.common_case_graph import export_common_case_graph
from export.graphs.query_encoder import encoder_of
from export.scorer import export_best_search
from proofs.search_cost.subject import CatalogFiles, K
from service.ranking.onnx_session import GraphFile
from service.ranking.student import Student
from service.ranking.types import IndexQuery

OURS = "this project"


@dataclass(frozen=True)
class Cost:
    """Times and quality of a search.

    Attributes:
        milliseconds: CPU time of every answer.
        recall: share of the best `K` items that it finds, mean of the queries.
        ndcg: its NDCG where the best `K` items are the relevant ones; None: not measured.
        build_seconds: time on the clock to build it.
    """

    milliseconds: Sequence[float]
    recall: float
    ndcg: float | None
    build_seconds: float


def our_cost(catalog: CatalogFiles) -> Cost:
    """Exports the student's graphs and measures its answers after each history, twice."""
    with TemporaryDirectory() as name:
        model, common_case = Path(name) / "model.onnx", Path(name) / "plain.onnx"
        began = time.perf_counter()
        encoder = encoder_of(catalog.student)
        export_best_search(encoder, model, [np.array(each) for each in catalog.histories])
        has_common_case = export_common_case_graph(encoder, common_case)
        seconds = time.perf_counter() - began
        student = Student(
            GraphFile.read(model),
            GraphFile(common_case, common_case.read_bytes()) if has_common_case else None,
            num_items=encoder.num_items,
            max_history_length=encoder.max_history_length,
        )
        for history in catalog.histories:
            student.rank(IndexQuery(history, K))
        lists, times = [], []
        for history in catalog.histories:
            began = time.thread_time()
            ranking = student.rank(IndexQuery(history, K))
            times.append(1_000 * (time.thread_time() - began))
            lists.append(np.array([index for index, _ in ranking]))
    are_best = [
        catalog.table[items] @ query >= least
        for items, query, least in zip(lists, catalog.queries, catalog.least, strict=True)
    ]
    return Cost(times, recall(are_best), ndcg(are_best), seconds)


def recall(are_best: Sequence[NDArray[np.bool_]]) -> float:
    """Returns the share of the best `K` items; `are_best`: for each item of a list, if it is."""
    return float(np.mean([each.sum() / K for each in are_best]))


def ndcg(are_best: Sequence[NDArray[np.bool_]]) -> float:
    """Returns the mean NDCG where the best `K` items are relevant; `are_best`: as for `recall`."""
    weights = 1 / np.log2(np.arange(K) + 2)
    gains = [weights[: len(each)][each].sum() for each in are_best]
    return float(np.mean(gains) / weights.sum())
