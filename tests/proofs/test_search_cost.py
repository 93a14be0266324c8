"""The short form of the proof of searches: its measures, and the program of other libraries."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.rivals import vector_index
from proofs.record import FOLDER
from proofs.search_cost import HNSW, IVF, SIZES, search, searches_of
from proofs.search_cost.files import CatalogFiles
from proofs.search_cost.rival_cost import rival_cost
from proofs.search_cost.search import OURS, ndcg, recall

ARE_BEST = [np.array([True, True, False]), np.array([True, False])]


def test_recall_is_the_share_of_the_best_items_that_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "K", 3)
    assert recall(ARE_BEST) == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_ndcg_weighs_places_by_their_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "K", 3)
    second = 1 / np.log2(3)
    assert ndcg(ARE_BEST) == pytest.approx((1 + second + 1) / 2 / (1 + second + 1 / 2))


def test_the_table_of_scale_is_that_of_the_record() -> None:
    record = json.loads((FOLDER / "search_cost.json").read_text(encoding="utf-8"))
    values = {each["name"]: each["value"] for each in record["figures"]}
    rows = [(size, search) for size in SIZES for search in searches_of(size)]
    forms = {"p50": ".2f", "p99": ".2f", "recall@20": ".3f", "built in": ",.0f"}
    of_memory = {"resident": ",.0f", "of it anonymous": ",.0f"}

    def cells(size: int, search: str) -> Sequence[str]:
        of = f"{size:,} items, {search}: "
        told = {name: form for name, form in (forms | of_memory).items() if of + name in values}
        return [f"{size:,}", search, *(f"{values[of + name]:{told[name]}}" for name in told)]

    lines = (FOLDER.parent / "scale.md").read_text(encoding="utf-8").splitlines()
    table = [re.sub(r" (ms|s|MiB) \|", " |", each).strip("| ").split(" | ") for each in lines]
    told = [[cell.strip(" |") for cell in row if cell.strip(" |")] for row in table]
    assert [row for row in told if row[1:] and row[1] in (OURS, *HNSW, IVF)] == [
        list(cells(*each)) for each in rows
    ]


def write_files(folder: Path) -> None:
    table = np.array([[0, 0], [3, 0], [2, 0], [1, 0], [0, 1]], dtype=np.float32)
    queries = np.array([[1, 0], [0, 1]], dtype=np.float32)
    arrays = {"table": table, "queries": queries, "least": [2, 1], "seen": [[1, 0], [2, 0]]}
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", np.array(values))


def test_an_effort_is_as_good_as_its_unseen_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path)
    monkeypatch.setattr(vector_index, "K", 1)

    def build(table: NDArray[np.float32], path: Path) -> None:
        assert not path.exists()
        with path.open("wb") as file:
            np.save(file, np.arange(1, len(table)))

    def open_index(path: Path, table: NDArray[np.float32]) -> vector_index.Search:
        items = np.load(path)

        def best(query: NDArray[np.float32], k: int, effort: int) -> NDArray[np.int64]:
            assert k == 2  # one item and one seen
            whole = items[np.argsort(-(table[items] @ query))]
            return whole[:k] if effort > 32 else np.array([1, 2])

        return best

    monkeypatch.setitem(vector_index.INDICES, "all", (build, open_index))
    vector_index.main("all", tmp_path, build_only=True)
    assert not capsys.readouterr().out
    vector_index.main("all", tmp_path)
    measured = json.loads(capsys.readouterr().out)
    efforts = {each["effort"]: each["recall"] for each in measured["efforts"]}
    assert efforts == {32: 0.5, 64: 1}


def test_a_missing_environment_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"make \.venv/indices/ready"):
        rival_cost(tmp_path / "python", "faiss HNSW", tmp_path, 0.99)


def test_the_end_of_a_failed_programs_errors_is_quoted(tmp_path: Path) -> None:
    write_files(tmp_path)
    with pytest.raises(BenchmarkError, match=r"(?s)no index: .*KeyError"):
        rival_cost(Path(sys.executable), "no index", tmp_path, 0.99)


@pytest.mark.parametrize(("commit", "times"), [("now", 0), ("before", 1)])
def test_a_bundle_that_another_commit_built_is_built_again(
    commit: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    monkeypatch.setattr(search, "commit", lambda: "now")
    monkeypatch.setattr(search, "_run", lambda *arguments: built.append(arguments))
    files = CatalogFiles(tmp_path)
    files.built.write_text(json.dumps({"commit": commit}))

    search.build_ours(files, tmp_path)

    assert len(built) == times
