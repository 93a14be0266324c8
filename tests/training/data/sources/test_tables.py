"""Ids stay text, titles become readable, and every error names file, row and value."""

from pathlib import Path
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.data.dataset import Split
from training.data.sources.tables import read_tables
from training.errors import DataError


def test_csv_ids_keep_their_leading_zeros(interactions: Path, items: Path) -> None:
    raw = read_tables(interactions, items)

    assert raw.user_ids == ("01",)
    assert raw.catalog.item_ids == ("007", "8")


def test_values_such_as_null_and_na_are_text(interactions: Path, items: Path) -> None:
    items.write_text("item_id,title\nnull,NA\n")
    interactions.write_text("user_id,item_id,timestamp\nNone,null,1\n")

    raw = read_tables(interactions, items)

    assert (raw.user_ids, raw.catalog.item_ids, raw.catalog.titles) == (
        ("None",),
        ("null",),
        ("NA",),
    )


def test_other_columns_of_items_are_attributes(interactions: Path, items: Path) -> None:
    assert read_tables(interactions, items).catalog.attributes == ({"genre": ("Action", "Spy")}, {})


def test_titles_become_one_line_without_html_entities(interactions: Path, items: Path) -> None:
    items.write_text('item_id,title\n007,"Tom &amp; Jerry\n  &ndash; AT&T"\n8,Up\n')

    assert read_tables(interactions, items).catalog.titles[0] == "Tom & Jerry \u2013 AT&T"


def test_an_entity_of_thousands_of_digits_is_text(interactions: Path, items: Path) -> None:
    number = "&#" + "1" * 5_000 + ";"
    items.write_text(f"item_id,title\n007,Up &#38; away {number}\n8,Up\n")

    assert read_tables(interactions, items).catalog.titles[0] == f"Up & away {number}"


def test_parquet_integers_become_text(tmp_path: Path, items: Path) -> None:
    path = tmp_path / "interactions.parquet"
    table = {"user_id": [3], "item_id": [8], "position": [0], "further": [[1, 2]]}
    pd.DataFrame(table).to_parquet(path)

    raw = read_tables(path, items)

    assert raw.user_ids == ("3",)
    assert raw.item_indices.tolist() == [2]
    assert raw.timestamps is None


def test_parquet_ids_that_are_uuids_become_their_usual_text(tmp_path: Path, items: Path) -> None:
    uuids = pa.array([UUID(int=5).bytes, UUID(int=7).bytes], pa.uuid())
    table = pa.table({"user_id": uuids, "item_id": ["8", "8"], "position": [0, 1]})
    pq.write_table(table, tmp_path / "interactions.parquet")

    assert read_tables(tmp_path / "interactions.parquet", items).user_ids == (
        "00000000-0000-0000-0000-000000000005",
        "00000000-0000-0000-0000-000000000007",
    )


def test_parquet_and_csv_of_the_same_table_give_the_same_catalog(
    tmp_path: Path, interactions: Path, items: Path
) -> None:
    path = tmp_path / "items.parquet"
    table = {"item_id": ["007", "8"], "title": ["Skyfall", "Up"], "genre": ["Action|Spy", None]}
    pd.DataFrame(table).to_parquet(path)

    from_parquet, from_csv = read_tables(interactions, path), read_tables(interactions, items)

    assert from_parquet.catalog == from_csv.catalog


def test_a_split_column_is_read(interactions: Path, items: Path) -> None:
    interactions.write_text(
        "user_id,item_id,position,split\n"
        "ann,8,0,history\nann,8,1,train\nann,8,2,validation\nann,8,3,test\n"
    )

    splits = read_tables(interactions, items).splits

    assert splits is not None
    assert splits.tolist() == [Split.HISTORY, Split.TRAIN, Split.VALIDATION, Split.TEST]


def test_a_missing_title_can_be_given_a_placeholder(interactions: Path, items: Path) -> None:
    items.write_text("item_id,title\n007,Skyfall\n8, \n9,&nbsp;\n")

    catalog = read_tables(interactions, items, missing_titles="placeholder").catalog

    assert catalog.titles == ("Skyfall", "Untitled item 8", "Untitled item 9")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("\n", "empty file"),
        ("item_id,title\n", "no rows"),
        ("id,title\n1,A\n", "missing columns: item_id; there are: id, title"),
        ("item_id,title\n007,A\n8,\n", r"title is missing .*: data row 2 \(''\)"),
        ("item_id,title\n007,A\n8,&nbsp;\n", r"title is missing .*: data row 2 \('&nbsp;'\)"),
        ("item_id,title\n007,A\n , B\n", r"item_id is missing: data row 2 \(' '\)"),
        ("item_id,title\n8,A\n007,B\n8,C\n", r"item_id occurs more than once: data row 3 \('8'\)"),
        ("item_id,title\n8,A,x\n", "more values than the header"),
        ("item_id,title\n8,A\n007,B,x\n", "not CSV: .*line 3"),
        ('item_id,title\n8,"A\n', "not CSV: .*inside string"),
    ],
)
def test_an_error_in_items_names_row_and_value(
    interactions: Path, items: Path, content: str, message: str
) -> None:
    items.write_text(content)

    with pytest.raises(DataError, match=rf"items\.csv: .*{message}"):
        read_tables(interactions, items)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id,item_id,when\nann,8,1\n", "no column timestamp or position"),
        ("user_id,timestamp\nann,1\n", "missing columns: item_id; there are: user_id"),
        ("user_id,item_id,timestamp\n,8,1\n", r"user_id is missing: data row 1 \(''\)"),
        (
            "user_id,item_id,timestamp\nann,8,1\nann,7,2\n",
            r"not in .*items.csv: data row 2 \('7'\)",
        ),
        ("user_id,item_id,timestamp\nann,8,1\nann,8,\n", r"not a number: data row 2 \(''\)"),
        ("user_id,item_id,timestamp\nann,8,1\nann,8\n", "not a number: data row 2"),
        ("user_id,item_id,timestamp\nann,8,inf\n", r"not a number: data row 1 \('inf'\)"),
        ("user_id,item_id,timestamp\nann,8,soon\n", r"nor ISO 8601: data row 1 \('soon'\)"),
        ("user_id,item_id,timestamp\nann,8,2020-01-01\nann,8,\n", r"nor ISO 8601: data row 2"),
        ("user_id,item_id,position\nann,8,first\n", r"position is not a number: .*'first'"),
        ("user_id,item_id,position,split\nann,8,1,dev\n", r"split is none of train, .*'dev'"),
    ],
)
def test_an_error_in_interactions_names_row_and_value(
    interactions: Path, items: Path, content: str, message: str
) -> None:
    interactions.write_text(content)

    with pytest.raises(DataError, match=rf"interactions\.csv: .*{message}"):
        read_tables(interactions, items)


def test_many_wrong_rows_are_reported_in_one_error(interactions: Path, items: Path) -> None:
    interactions.write_text("user_id,item_id,timestamp\n" + "ann,9,1\n" * 15)

    with pytest.raises(DataError, match=r"data row 1 .*data row 2 .*data row 3 .* and 12 more$"):
        read_tables(interactions, items)


def test_a_file_that_is_not_utf_8_is_refused_by_line(interactions: Path, items: Path) -> None:
    items.write_bytes("item_id,title\n8,Amélie\n".encode("latin-1"))

    with pytest.raises(DataError, match=r"items\.csv: not UTF-8: byte 0xe9 at offset 18, line 2"):
        read_tables(interactions, items)


def test_a_column_that_occurs_twice_is_named(interactions: Path, items: Path) -> None:
    interactions.write_text("user_id,item_id,timestamp,timestamp\nann,8,1,2\n")

    with pytest.raises(DataError, match=r"interactions\.csv: column 'timestamp' occurs twice"):
        read_tables(interactions, items)

    interactions.write_text("user_id,item_id,timestamp,other,other,,\nann,8,1,2,3,4,5\n")
    assert read_tables(interactions, items).num_rows == 1


def test_a_byte_order_mark_is_not_part_of_a_column_name(interactions: Path, items: Path) -> None:
    items.write_text("\ufeff" + items.read_text(encoding="utf-8"), encoding="utf-8")

    assert read_tables(interactions, items).catalog.item_ids == ("007", "8")


def test_a_missing_file_is_refused_by_name(interactions: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv: no such file"):
        read_tables(interactions, tmp_path / "nowhere.csv")


def test_a_file_with_another_suffix_is_refused(interactions: Path) -> None:
    allowed = r"must be \.csv, \.parquet, \.arrow, \.inter or \.item"
    with pytest.raises(DataError, match=rf"items\.xlsx: suffix '\.xlsx': {allowed}"):
        read_tables(interactions, interactions.with_name("items.xlsx"))


def test_a_damaged_parquet_file_is_refused_by_name(interactions: Path, tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_bytes(b"PAR1 nothing more")

    with pytest.raises(DataError, match=r"items\.parquet: not readable as Parquet"):
        read_tables(interactions, path)


def test_parquet_ids_that_are_fractions_are_refused(interactions: Path, tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pd.DataFrame({"item_id": [7.0, None], "title": ["A", "B"]}).to_parquet(path)

    with pytest.raises(DataError, match="item_id is stored as double"):
        read_tables(interactions, path)


def test_a_parquet_column_that_cannot_become_text_is_refused_by_name(
    interactions: Path, tmp_path: Path
) -> None:
    path = tmp_path / "items.parquet"
    pd.DataFrame({"item_id": ["7"], "title": ["A"], "tags": [{"a": 1}]}).to_parquet(path)

    with pytest.raises(DataError, match=r"items\.parquet: tags cannot be read as text"):
        read_tables(interactions, path)
