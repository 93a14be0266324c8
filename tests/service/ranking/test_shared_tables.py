"""Constants of a large catalog's graph, which processes map from files of the bundle."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.contract.bundle import BundleError, Item, load_bundle, save_bundle
from export.contract.layout import BundleLayout
from export.graphs.blocks.search import BlockSizes
from export.graphs.ranking_graph import export_ranking_graph
from export.sessions import RankingSession
from service.ranking.onnx_session import GraphFile, shared_tables
from service.ranking.student import Student
from service.ranking.types import IndexQuery
from tests.export.graphs.searched import HIDDEN_SIZE, WINDOW, Vectors, summing_encoder

NUM_ITEMS = 200_000  # tables of 12 and 3 MiB


def vectors_of(num_items: int) -> Vectors:
    generator = np.random.default_rng(0)
    return generator.normal(size=(num_items, HIDDEN_SIZE)).astype(np.float32)


def write_bundle(
    folder: Path, num_items: int, change: Callable[[Path], object] = lambda _: None
) -> Path:
    """Writes a bundle; `change` may change the exported files before."""
    exported = folder / "exported"
    exported.mkdir(parents=True)
    export_ranking_graph(
        summing_encoder(vectors_of(num_items)), exported / "model.onnx", BlockSizes(8, 64)
    )
    change(exported)
    save_bundle(
        folder / "bundle",
        exported / "model.onnx",
        (Item(str(index), "", 0) for index in range(1, num_items + 1)),
        tables=BundleLayout(exported).tables,
        student="sum",
        max_history_length=WINDOW,
        metrics={},
        parity_error=0,
        provenance={},
    )
    return folder / "bundle"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("small"), 3_000)


def test_a_student_answers_from_mapped_tables_as_from_the_graph_alone(bundle: Path) -> None:
    student, graph = Student.of_bundle(load_bundle(bundle)), RankingSession(bundle / "model.onnx")
    for history in ([1, 2, 3], [2_999], [7] * 9):
        items, scores = graph.rank(np.array([history]), 10, mask_seen=True)
        ranking = student.rank(IndexQuery(history, 10))
        assert [index for index, _ in ranking] == items[0].tolist()
        assert np.allclose([score for _, score in ranking], scores[0])
    assert np.array_equal(student.table()[1:], vectors_of(3_000))


def test_a_changed_table_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, 500)
    loaded = load_bundle(folder)
    with (folder / "table.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(BundleError, match=r"table\.npy: sha256"):
        Student.of_bundle(loaded)
    with pytest.raises(BundleError, match=r"table\.npy: sha256"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["table", "item_codes_by_block"])
def test_a_table_that_lacks_its_last_row_is_refused_with_the_shape_that_the_graph_needs(
    name: str, tmp_path: Path
) -> None:
    def cut(exported: Path) -> None:
        np.save(exported / f"{name}.npy", np.load(exported / f"{name}.npy")[:-1])

    rows, columns = np.load(write_bundle(tmp_path / "whole", 500) / f"{name}.npy").shape
    folder = write_bundle(tmp_path / "cut", 500, cut)
    with pytest.raises(BundleError) as refusal:
        Student.of_bundle(load_bundle(folder))
    assert str(refusal.value) == (
        f"{folder / name}.npy: shape ({rows - 1}, {columns}), model.onnx needs "
        f"({rows}, {columns}); export the bundle again"
    )


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2), np.float32, order="F")])
def test_a_table_of_another_form_is_refused(
    tmp_path: Path, bundle: Path, values: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "table.npy", values)
    content = {"table": (tmp_path / "table.npy").read_bytes()}
    monkeypatch.setattr("export.contract.bundle.Bundle.map_tables", lambda _: content)
    with pytest.raises(BundleError, match=r"table\.npy: .*in C order"):
        shared_tables(load_bundle(bundle))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_table_takes_no_memory_of_the_process_itself(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_ranking_graph(summing_encoder(vectors_of(NUM_ITEMS)), path, BlockSizes(8, 64))
    ctypes.CDLL(None).malloc_trim(0)  # else what the export has freed would be used again
    before = anonymous_bytes()
    student = Student(GraphFile.read(path), num_items=NUM_ITEMS, max_history_length=WINDOW)
    assert len(student.rank(IndexQuery([1, 2], 10))) == 10
    assert student.table().nbytes > 12 * 10**6
    # 28 MB are onnxruntime's and the graph's own; a copy of the table would take 12.8 MB more.
    assert anonymous_bytes() - before < 35 * 10**6


def anonymous_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    (line,) = [each for each in lines if each.startswith("Anonymous:")]
    return 1_024 * int(line.split()[1])
