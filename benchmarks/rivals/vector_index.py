"""Builds an index of item vectors with usearch or faiss, and searches it.

It runs in an environment of its own, with NumPy, faiss-cpu and usearch, and imports nothing of this
project: `python vector_index.py KIND FOLDER`. FOLDER has `table.npy`, the item vectors,
`[rows, hidden]`, whose first row is padding; `queries.npy`, `[queries, hidden]`; `least.npy`, the
score that the best items of every query have at least, `[queries]`; and `seen.npy`,
`[queries, longest]`, the items to leave out, with zeros after them. The program writes one line of
JSON: the seconds that building took, and for each effort the recall and the CPU milliseconds of
every query.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Search = Callable[[NDArray[np.float32], int, int], NDArray[np.int64]]
"""A function of a query, a number of items and an effort, to item indices, best first."""

K = 20
EFFORTS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1_024)
ENOUGH = 0.999  # recall after which no greater effort is tried
CONNECTIVITY, BUILD_EFFORT = 16, 128  # of HNSW
AT_ONCE = 500_000  # vectors that are added at once
CODE_BYTES, MAX_TRAINED = 32, 400_000  # of IVF-PQ: bytes a vector, vectors that it is trained with
NUM_RESCORED = 1_024  # of IVF-PQ: candidates whose scores are computed from their vectors


def main(kind: str, folder: Path) -> None:
    """Builds the index `kind`, a key of `BUILDERS`, and prints what the module's docstring says."""
    names = ("table", "queries", "least", "seen")
    table, queries, least, seen = (
        np.load(folder / f"{each}.npy", mmap_mode="r", allow_pickle=False) for each in names
    )
    began = time.perf_counter()
    search = BUILDERS[kind](table)
    seconds, rows = time.perf_counter() - began, []
    for effort in EFFORTS:
        found, times = _answers(search, effort, np.array(queries), seen)
        scores = [table[items] @ query for items, query in zip(found, queries, strict=True)]
        shares = [(each >= low).sum() / K for each, low in zip(scores, least, strict=True)]
        rows.append({"effort": effort, "recall": float(np.mean(shares)), "milliseconds": times})
        if np.mean(shares) >= ENOUGH:
            break
    sys.stdout.write(json.dumps({"build_seconds": seconds, "efforts": rows}) + "\n")


def _answers(
    search: Search,
    effort: int,
    queries: NDArray[np.float32],
    seen: NDArray[np.int64],
) -> tuple[list[NDArray[np.int64]], list[float]]:
    """Returns the best `K` unseen items of each query, and the CPU milliseconds of each."""
    found, times = [], []
    for query, padded in zip(queries, seen, strict=True):
        left_out = padded[padded > 0]
        began = time.thread_time()
        items = search(query, K + len(left_out), effort)
        found.append(items[~np.isin(items, left_out)][:K])
        times.append(1_000 * (time.thread_time() - began))
    return found, times


def usearch_hnsw(table: NDArray[np.float32]) -> Search:
    """Builds usearch's graph of neighbours, by inner products."""
    from usearch.index import Index

    index: Any = Index(
        ndim=table.shape[1],
        metric="ip",
        dtype="f32",
        connectivity=CONNECTIVITY,
        expansion_add=BUILD_EFFORT,
    )
    for start in range(1, len(table), AT_ONCE):
        part = np.array(table[start : start + AT_ONCE])
        index.add(np.arange(start, start + len(part)), part)

    def search(query: NDArray[np.float32], k: int, effort: int) -> NDArray[np.int64]:
        index.expansion_search = max(effort, k)
        found: NDArray[np.int64] = index.search(query, k, threads=1).keys.astype(np.int64)
        return found

    return search


def faiss_hnsw(table: NDArray[np.float32]) -> Search:
    """Builds faiss' graph of neighbours, by inner products."""
    import faiss

    index: Any = faiss.IndexHNSWFlat(table.shape[1], CONNECTIVITY, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EFFORT
    index.add(np.array(table[1:]))
    faiss.omp_set_num_threads(1)

    def search(query: NDArray[np.float32], k: int, effort: int) -> NDArray[np.int64]:
        index.hnsw.efSearch = max(effort, k)
        found: NDArray[np.int64] = index.search(query[None], k)[1][0] + 1
        return found

    return search


def faiss_ivf_pq(table: NDArray[np.float32]) -> Search:
    """Builds faiss' inverted lists of product codes; the vectors score the best candidates."""
    import faiss

    hidden, lists = table.shape[1], int(4 * len(table) ** 0.5)
    coarse = faiss.IndexFlatIP(hidden)
    index: Any = faiss.IndexIVFPQ(coarse, hidden, lists, CODE_BYTES, 8, faiss.METRIC_INNER_PRODUCT)
    index.train(np.array(table[1 :: max(1, len(table) // MAX_TRAINED)]))
    for start in range(1, len(table), AT_ONCE):
        index.add(np.array(table[start : start + AT_ONCE]))
    faiss.omp_set_num_threads(1)

    def search(query: NDArray[np.float32], k: int, effort: int) -> NDArray[np.int64]:
        index.nprobe = effort
        candidates = index.search(query[None], max(k, NUM_RESCORED))[1][0] + 1
        candidates = candidates[candidates > 0]
        best: NDArray[np.int64] = candidates[np.argsort(-(table[candidates] @ query))[:k]]
        return best

    return search


BUILDERS: dict[str, Callable[[NDArray[np.float32]], Search]] = {
    "usearch HNSW": usearch_hnsw,
    "faiss HNSW": faiss_hnsw,
    "faiss IVF-PQ": faiss_ivf_pq,
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
