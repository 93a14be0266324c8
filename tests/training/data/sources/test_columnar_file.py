"""Parquet and Arrow files are read as text, and lists as several values."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.data.sources import columnar_file
from training.data.sources.items_table import items_stamps, read_items
from training.data.sources.text_table import read_text_table
from training.errors import DataError

TABLE = pa.table({"item_id": [7, 8, 9], "title": ["Heat", "Up", "Alien"]})


@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file], ids=["stream", "file"])
def test_an_arrow_file_is_read_whatever_the_size_of_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: type
) -> None:
    monkeypatch.setattr(columnar_file, "ROWS_A_BATCH", 2)
    for max_chunksize in (1, 3):
        path = tmp_path / f"{max_chunksize}.arrow"
        with new(path, TABLE.schema) as file:
            file.write_table(TABLE, max_chunksize=max_chunksize)

        table = read_text_table(path, ["item_id", "title"])
        assert table["item_id"].tolist() == ["7", "8", "9"]
        assert table["title"].tolist() == ["Heat", "Up", "Alien"]


def test_a_damaged_arrow_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "i.arrow").write_bytes(b"ARROW1\0\0 and then nothing")

    with pytest.raises(DataError, match=r"i\.arrow: not readable as Arrow: "):
        read_text_table(tmp_path / "i.arrow", ["item_id"])


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())])
def test_a_list_has_several_values_of_an_attribute(tmp_path: Path, kind: pa.DataType) -> None:
    genres = pa.array([["War", None, "Drama"], [], None], kind)
    pq.write_table(TABLE.append_column("genre", genres), tmp_path / "items.parquet")

    catalog = read_items(tmp_path / "items.parquet")

    assert catalog.attributes == ({"genre": ("War", "Drama")}, {}, {})


def test_a_value_of_a_list_that_a_table_would_divide_is_refused(tmp_path: Path) -> None:
    tags = pa.array([["jazz"], None, ["pop", "rock|pop"]])
    pq.write_table(TABLE.append_column("tags", tags), tmp_path / "items.parquet")

    with pytest.raises(DataError, match=r"items\.parquet: tags: the value 'rock\|pop' has a `\|`"):
        read_items(tmp_path / "items.parquet")


def test_a_vector_is_no_attribute(tmp_path: Path) -> None:
    vectors = pa.array([[0.5], [1.0], [2.0]])
    pq.write_table(TABLE.append_column("vector", vectors), tmp_path / "items.parquet")

    with pytest.raises(DataError, match=r"items\.parquet: vector cannot be read as text"):
        read_items(tmp_path / "items.parquet")


def test_ids_that_are_decimals_with_fractions_are_refused(tmp_path: Path) -> None:
    for scale in (0, 2):
        item_ids = pa.array([Decimal(7), Decimal(8), Decimal(9)], pa.decimal128(10, scale))
        pq.write_table(TABLE.set_column(0, "item_id", item_ids), tmp_path / f"{scale}.parquet")

    assert read_items(tmp_path / "0.parquet").item_ids == ("7", "8", "9")
    with pytest.raises(DataError, match=r"item_id is stored as decimal128\(10, 2\); use text or"):
        read_items(tmp_path / "2.parquet")


def test_row_labels_of_pandas_are_no_attribute(tmp_path: Path) -> None:
    TABLE.to_pandas().set_axis([5, 3, 1]).to_parquet(tmp_path / "items.parquet")

    assert read_items(tmp_path / "items.parquet").attributes == ({}, {}, {})


def test_a_folder_of_items_is_one_table_with_a_stamp_for_each_file(tmp_path: Path) -> None:
    pq.write_table(TABLE[:1], tmp_path / "b.parquet")
    pq.write_table(TABLE[1:], tmp_path / "a.parquet")

    assert read_items(tmp_path).item_ids == ("8", "9", "7")
    assert len(items_stamps(tmp_path)) == 2
