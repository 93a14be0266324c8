"""Rows of a user follow their numbers or dates, of all years and to the nanosecond."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.data.dataset import Split
from training.data.sources import text_table
from training.data.sources.tables import read_tables
from training.errors import DataError


def test_rows_are_ordered_by_number_and_not_by_text(interactions: Path, items: Path) -> None:
    interactions.write_text("user_id,item_id,timestamp\nann,8,100\nann,007,99\n")

    assert read_tables(interactions, items).source_rows.tolist() == [2, 1]


def test_dates_are_read_as_utc_to_the_nanosecond(interactions: Path, items: Path) -> None:
    interactions.write_text(
        "user_id,item_id,timestamp\n"
        "ann,8,1970-01-01T00:00:02\n"
        "ann,8,1970-01-01T02:00:01+02:00\n"
        "ann,8,1970-01-01\n"
    )

    timestamps = read_tables(interactions, items).timestamps

    assert timestamps is not None
    assert timestamps.tolist() == [0, 1_000_000_000, 2_000_000_000]


def test_timestamps_one_nanosecond_apart_are_ordered(interactions: Path, items: Path) -> None:
    interactions.write_text(
        "user_id,item_id,timestamp\nann,8,1600000000000000001\nann,007,1600000000000000000\n"
    )

    assert read_tables(interactions, items).source_rows.tolist() == [2, 1]


def test_dates_one_nanosecond_apart_are_ordered_as_their_numbers_are(
    tmp_path: Path, items: Path
) -> None:
    numbers = pa.array([1_600_000_000_000_000_003, 1_600_000_000_000_000_001])
    for name, times in (("numbers", numbers), ("dates", numbers.cast(pa.timestamp("ns")))):
        table = pa.table({"user_id": ["ann", "ann"], "item_id": ["8", "007"], "timestamp": times})
        pq.write_table(table, tmp_path / f"{name}.parquet")

        raw = read_tables(tmp_path / f"{name}.parquet", items)
        assert raw.source_rows.tolist() == [2, 1]
        assert raw.timestamps is not None
        assert raw.timestamps.tolist() == [1_600_000_000_000_000_001, 1_600_000_000_000_000_003]


def test_dates_of_all_years_are_ordered(interactions: Path, items: Path) -> None:
    dates = ["9999-12-31T23:59:59.999999", "2500-01-01", "2223-07-06T14:13:20.000001"]
    dates += ["2223-07-06T14:13:20", "2020-01-01", "1716-01-01", "1500-01-01", "0001-01-01"]
    rows = [f"ann,8,{date}" for date in dates]
    interactions.write_text("\n".join(["user_id,item_id,timestamp", *rows]))

    raw = read_tables(interactions, items)

    assert raw.timestamps is not None
    assert raw.source_rows.tolist() == [8, 7, 6, 5, 4, 3, 2, 1]
    assert len({*raw.timestamps.tolist()}) == 8


@pytest.mark.parametrize("rows_a_batch", [1, 2, 10])
def test_far_dates_and_nanoseconds_are_read_alike_in_one_batch_and_in_several(
    rows_a_batch: int, interactions: Path, items: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_table, "ROWS_A_BATCH", rows_a_batch)
    dates = ["2026-01-01T00:00:00.123456789Z", "9999-12-31", "9999-12-31T00:00:00.000001999"]
    rows = [f"ann,8,{date}" for date in [*dates, "1500-01-01"]]
    interactions.write_text("\n".join(["user_id,item_id,timestamp", *rows]))

    raw = read_tables(interactions, items)

    assert raw.timestamps is not None
    # Microseconds beyond 8e15, which are the years after 2223, count one each, not 1000.
    assert raw.timestamps.tolist() == [
        -8 * 10**18 + (-14_831_769_600 * 10**6 + 8 * 10**15),
        1_767_225_600_123_456_789,
        8 * 10**18 + (253_402_214_400 * 10**6 - 8 * 10**15),
        8 * 10**18 + (253_402_214_400 * 10**6 - 8 * 10**15) + 1,
    ]


def test_in_far_years_nanoseconds_do_not_outrun_microseconds(
    interactions: Path, items: Path
) -> None:
    dates = ["2240-01-01T00:00:00.000001", "2240-01-01T00:00:00.000000999"]
    rows = [f"ann,8,{date}" for date in dates]
    interactions.write_text("\n".join(["user_id,item_id,timestamp", *rows]))

    assert read_tables(interactions, items).source_rows.tolist() == [2, 1]


@pytest.mark.parametrize("rows_a_batch", [1, 2, 10])
def test_what_is_no_date_is_refused_alike_in_one_batch_and_in_several(
    rows_a_batch: int, interactions: Path, items: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_table, "ROWS_A_BATCH", rows_a_batch)
    dates = ["2026-01-01T00:00:00.123456789Z", "now", "9999-12-31", "9999-13-31", "today"]
    rows = [f"ann,8,{date}" for date in dates]
    interactions.write_text("\n".join(["user_id,item_id,timestamp", *rows]))

    with pytest.raises(DataError) as caught:
        read_tables(interactions, items)
    assert str(caught.value) == (
        f"{interactions}: timestamp is neither a number nor ISO 8601: data row 2 ('now'), "
        "data row 4 ('9999-13-31'), data row 5 ('today')"
    )


@pytest.mark.parametrize("rows", [*permutations(["ann,8,1,validation", "ann,007,1,test"])])
def test_by_ids_rows_of_one_moment_have_the_order_of_their_splits(
    rows: Sequence[str], interactions: Path, items: Path
) -> None:
    table = ["user_id,item_id,timestamp,split", "ann,8,0,train", *rows]
    interactions.write_text("\n".join(table) + "\n")

    splits = read_tables(interactions, items, order="ids").splits

    assert splits is not None
    assert splits.tolist() == [Split.TRAIN, Split.VALIDATION, Split.TEST]
