"""Large arrays lie on disk, where space is reserved before it is used."""

import numpy as np
import pytest

from training.data import large_arrays, row_order
from training.data.large_arrays import blocks, new_array
from training.data.row_order import SourceRows
from training.errors import DataError


def test_blocks_cover_all_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "ROWS_A_BLOCK", 3)

    assert [(rows.start, rows.stop) for rows in blocks(7)] == [(0, 3), (3, 6), (6, 7)]


def test_a_large_array_keeps_its_values_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "MAX_BYTES_IN_MEMORY", 7)
    array = new_array(1_000, np.int64)
    array[5] = 8

    assert isinstance(array, np.memmap)
    assert array.sum() == 8


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "MAX_BYTES_IN_MEMORY", 7)

    with pytest.raises(DataError, match=r"no space for a temporary file of 8,000 bytes .*TMPDIR"):
        new_array(1_000, np.int64)


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_is_full_before_the_rows_are_ordered_is_told_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_order, "MAX_BYTES_IN_MEMORY", 1)

    with (
        SourceRows() as rows,
        pytest.raises(DataError, match=r"no space for a temporary file .*TMPDIR"),
    ):
        rows.append(["ann"] * 5_000, np.ones(5_000, np.int32))
