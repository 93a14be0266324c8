"""Builds an index of item vectors with usearch or faiss, and searches it.

It runs in an environment of its own, with NumPy, faiss-cpu and usearch, and imports nothing of this
project: `python vector_index.py KIND FOLDER`. FOLDER has `table.npy`, the item vectors,
`[rows, hidden]`, whose first row is padding; `queries.npy`, `[queries, hidden]`; `least.npy`, the
score that the best items of every query have at least, `[queries]`; and `seen.npy`,
`[queries, longest]`, the items to leave out, with zeros after them. A built index is kept in
FOLDER, and opened where it is there. The program writes one line of JSON: the CPU seconds that
building took, and for each effort the recall and the CPU milliseconds of every query.
`--build-only` ends before the searches.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Search = Callable[[Vectors, int, int], NDArray[np.int64]]
"""A function of a query, a number of items and an effort, to item indices, best first."""
Build = Callable[[Vectors, Path], None]
"""A function that makes an index of a table, and writes it to a file."""
Open = Callable[[Path, Vectors], Search]
"""A function that opens an index in a file, with the table that it was made of."""

K = 20
EFFORTS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1_024)
ENOUGH = 0.999  # recall after which no greater effort is tried
CONNECTIVITY, BUILD_EFFORT = 16, 128  # of HNSW
AT_ONCE = 500_000  # vectors that are added at once
CODE_BYTES, MAX_TRAINED = 32, 400_000  # of IVF-PQ: bytes a vector, vectors that it is trained with
MAX_LISTS = 8_192  # of IVF-PQ: of more, ten million vectors take an hour of a core
NUM_RESCORED = 1_024  # of IVF-PQ: candidates whose scores are computed from their vectors


def main(kind: str, folder: Path, *, build_only: bool = False) -> None:
    """Builds the index `kind`, a key of `INDICES`, and prints what the module's docstring says."""
    names = ("table", "queries", "least", "seen")
    table, queries, least, seen = (
        np.load(folder / f"{each}.npy", mmap_mode="r", allow_pickle=False) for each in names
    )
    build, open_index = INDICES[kind]
    path = folder / f"{kind.replace(' ', '_')}.index"
    seconds, rows = _built(build, table, path), []
    if build_only:
        return
    search = open_index(path, table)
    for effort in EFFORTS:
        found, times = _answers(search, effort, np.array(queries), seen)
        scores = [table[items] @ query for items, query in zip(found, queries, strict=True)]
        shares = [(each >= low).sum() / K for each, low in zip(scores, least, strict=True)]
        rows.append({"effort": effort, "recall": float(np.mean(shares)), "milliseconds": times})
        if np.mean(shares) >= ENOUGH:
            break
    sys.stdout.write(json.dumps({"build_seconds": seconds, "efforts": rows}) + "\n")


def _built(build: Build, table: Vectors, path: Path) -> float:
    """Builds the index in the file `path`, unless it is there; returns the CPU seconds it took."""
    told, writing = path.with_suffix(".json"), path.with_suffix(".writing")
    if not told.exists():
        began = time.process_time()
        build(table, writing)
        seconds = time.process_time() - began
        writing.replace(path)
        told.write_text(json.dumps(seconds))
    return float(json.loads(told.read_text()))


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


def build_usearch_hnsw(table: Vectors, path: Path) -> None:
    """Builds usearch's graph of neighbours, by inner products."""
    index = _usearch_index(table)
    for start in range(1, len(table), AT_ONCE):
        part = np.array(table[start : start + AT_ONCE])
        index.add(np.arange(start, start + len(part)), part)
    index.save(str(path))


def open_usearch_hnsw(path: Path, table: Vectors) -> Search:
    """Opens usearch's graph."""
    index = _usearch_index(table)
    index.load(str(path))

    def search(query: Vectors, k: int, effort: int) -> NDArray[np.int64]:
        index.expansion_search = max(effort, k)
        found: NDArray[np.int64] = index.search(query, k, threads=1).keys.astype(np.int64)
        return found

    return search


def _usearch_index(table: Vectors) -> Any:
    from usearch.index import Index

    return Index(
        ndim=table.shape[1],
        metric="ip",
        dtype="f32",
        connectivity=CONNECTIVITY,
        expansion_add=BUILD_EFFORT,
    )


def build_faiss_hnsw(table: Vectors, path: Path) -> None:
    """Builds faiss' graph of neighbours, by inner products."""
    import faiss

    index: Any = faiss.IndexHNSWFlat(table.shape[1], CONNECTIVITY, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EFFORT
    index.add(np.array(table[1:]))
    faiss.write_index(index, str(path))


def open_faiss_hnsw(path: Path, _table: Vectors) -> Search:
    """Opens faiss' graph, which has the vectors itself."""
    import faiss

    index: Any = faiss.read_index(str(path))
    faiss.omp_set_num_threads(1)

    def search(query: Vectors, k: int, effort: int) -> NDArray[np.int64]:
        index.hnsw.efSearch = max(effort, k)
        found: NDArray[np.int64] = index.search(query[None], k)[1][0] + 1
        return found

    return search


def build_faiss_ivf_pq(table: Vectors, path: Path) -> None:
    """Builds faiss' inverted lists of product codes; a sample of the vectors trains them."""
    import faiss

    hidden, lists = table.shape[1], min(MAX_LISTS, int(4 * len(table) ** 0.5))
    coarse = faiss.IndexFlatIP(hidden)
    index: Any = faiss.IndexIVFPQ(coarse, hidden, lists, CODE_BYTES, 8, faiss.METRIC_INNER_PRODUCT)
    index.train(np.array(table[1 :: max(1, len(table) // MAX_TRAINED)]))
    for start in range(1, len(table), AT_ONCE):
        index.add(np.array(table[start : start + AT_ONCE]))
    faiss.write_index(index, str(path))


def open_faiss_ivf_pq(path: Path, table: Vectors) -> Search:
    """Opens faiss' inverted lists; the vectors of `table` score the best candidates."""
    import faiss

    index: Any = faiss.read_index(str(path))
    faiss.omp_set_num_threads(1)

    def search(query: Vectors, k: int, effort: int) -> NDArray[np.int64]:
        index.nprobe = effort
        candidates = index.search(query[None], max(k, NUM_RESCORED))[1][0] + 1
        candidates = candidates[candidates > 0]
        best: NDArray[np.int64] = candidates[np.argsort(-(table[candidates] @ query))[:k]]
        return best

    return search


INDICES: dict[str, tuple[Build, Open]] = {
    "usearch HNSW": (build_usearch_hnsw, open_usearch_hnsw),
    "faiss HNSW": (build_faiss_hnsw, open_faiss_hnsw),
    "faiss IVF-PQ": (build_faiss_ivf_pq, open_faiss_ivf_pq),
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), build_only="--build-only" in sys.argv)
