from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.imports.inputs import dataset_of, read_vectors
from training.data.catalog import Catalog
from training.data.dataset import Split
from training.errors import DataError

CATALOG = Catalog(("a", "b"), ("Alpha", "Beta"), ({}, {}))


def test_vectors_of_any_float_type_get_a_padding_row_and_become_float32(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([[1, 2], [3, 4]], dtype=np.float16), allow_pickle=False)
    table = read_vectors(tmp_path / "v.npy", CATALOG)
    assert table.dtype == np.float32
    assert table.tolist() == [[0, 0], [1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((3, 2)), r"shape \(3, 2\), but the table of items has 2 rows"),
        (np.zeros((2, 0)), r"shape \(2, 0\)"),
        (np.zeros(2), r"is float64 \(2,\); must be an array of floats, \[items, size\]"),
        (np.zeros((2, 2), dtype=np.int64), r"is int64 \(2, 2\)"),
        (np.array([[1, 2], [3, np.nan]]), "1 vectors are not finite as float32, of the items 'b'"),
        (np.array([[1e300, 2], [3, 4]]), "of the items 'a'"),
    ],
)
def test_vectors_that_are_not_one_of_each_item_are_refused_with_what_they_are(
    vectors: np.ndarray[Any, Any], message: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", vectors, allow_pickle=False)
    with pytest.raises(DataError, match=r"v\.npy: .*" + message):
        read_vectors(tmp_path / "v.npy", CATALOG)


@pytest.mark.parametrize("content", [None, b"", b"no array", b"PK\x03\x04"])
def test_a_file_that_is_no_array_is_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "v.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"v\.npy: (no such file|not readable as a \.npy file)"):
        read_vectors(tmp_path / "v.npy", CATALOG)


def test_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", a=np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"v\.npz: is an \.npz"):
        read_vectors(tmp_path / "v.npz", CATALOG)


def test_the_last_interaction_of_each_user_with_several_is_a_test_example(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\nb,Beta\na,Alpha\n")
    (tmp_path / "h.csv").write_text("user_id,item_id,timestamp\nu,a,5\nv,b,1\nu,b,9\nu,a,7\n")
    dataset = dataset_of(tmp_path / "items.csv", tmp_path / "h.csv", "refuse", "mine")

    assert dataset.catalog.item_ids == ("b", "a")
    assert dataset.item_indices.tolist() == [2, 2, 1, 1]
    train, test = Split.TRAIN, Split.TEST
    assert dataset.splits.tolist() == [train, train, test, train]


def test_a_history_of_an_item_that_is_not_in_the_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\na,Alpha\n")
    (tmp_path / "h.csv").write_text("user_id,item_id,position\nu,x,1\n")
    with pytest.raises(DataError, match=r"item_id is not in .*items\.csv: data row 1 \('x'\)"):
        dataset_of(tmp_path / "items.csv", tmp_path / "h.csv", "refuse", "mine")
