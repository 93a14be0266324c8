"""Queries are asked of a real SQLite database by its real driver."""

import sqlite3
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from training import prepare
from training.data.sources import sql as sql_source
from training.data.sources.opening import read_source, source_stamps
from training.data.sources.sql import with_tables
from training.errors import ConfigError, DataError
from training.settings.data import DataConfig, SqlConfig

ROWS = [("ann", "07", 10), ("bob", "8", 20), ("ann", "8", 30)]
QUERY = "SELECT user_id, item_id, timestamp FROM sales ORDER BY timestamp"
ITEMS = "SELECT item_id, title, 'x|y' AS kind FROM products"
VARIABLE = "SHOP_DATABASE"

Shop = Callable[..., Path]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A function that makes a database with some sales, which the environment names."""

    def make(rows: Iterable[tuple[object, object, object]] = ROWS) -> Path:
        path = tmp_path / "a shop.db"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE sales (user_id, item_id, timestamp)")
            database.executemany("INSERT INTO sales VALUES (?, ?, ?)", rows)
            database.execute("CREATE TABLE products (item_id TEXT, title TEXT)")
            products = [("07", "Skyfall"), ("8", "Up")]
            database.executemany("INSERT INTO products VALUES (?, ?)", products)
        database.close()
        monkeypatch.setenv(VARIABLE, f"sqlite:///{path}")
        return path

    return make


def config(interactions: str = QUERY, items: str = ITEMS) -> DataConfig:
    queries = SqlConfig(address_variable=VARIABLE, interactions=interactions, items=items)
    return DataConfig(source="sql", sql=queries)


def test_the_results_of_two_queries_are_interactions_and_items(shop: Shop) -> None:
    shop()
    raw = read_source(config())

    assert raw.user_ids == ("ann", "bob")
    assert raw.item_indices.tolist() == [1, 2, 2]
    assert raw.catalog.item_ids == ("07", "8")
    assert raw.catalog.titles == ("Skyfall", "Up")
    assert raw.catalog.attributes[0] == {"kind": ("x", "y")}


def test_items_may_come_from_a_file_instead(shop: Shop, tmp_path: Path) -> None:
    shop()
    (tmp_path / "items.csv").write_text("item_id,title\n8,Up\n07,Skyfall\n")
    queries = SqlConfig(address_variable=VARIABLE, interactions=QUERY)
    raw = read_source(DataConfig(source="sql", sql=queries, items=tmp_path / "items.csv"))

    assert raw.catalog.item_ids == ("8", "07")


def test_the_stamp_is_of_the_rows_not_of_the_query(shop: Shop) -> None:
    shop()
    before = source_stamps(config())
    assert (
        source_stamps(config(QUERY.replace("timestamp FROM", "timestamp + 0 AS timestamp FROM")))
        == before
    )

    shop([*ROWS[:2], ("ann", "07", 30)])
    assert source_stamps(config())[0] != before[0]
    assert source_stamps(config())[1] == before[1]


def test_each_query_runs_once_for_stamp_and_rows(shop: Shop) -> None:
    path, said = shop(), list[str]()
    with with_tables(config(), said.append) as tables:
        path.unlink()
        assert len(source_stamps(tables)) == 2
        assert read_source(tables).num_rows == 3
        files = [tables.interactions, tables.items]
    assert said == ["data.sql.interactions: 3 rows", "data.sql.items: 2 rows"]
    assert not any(each is None or each.exists() for each in files)


def test_a_result_is_kept_in_groups_of_rows_however_small_its_batches(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop([("ann", "8", time) for time in range(5_000)])
    monkeypatch.setattr(sql_source, "ROWS_A_BATCH", 2_000)
    monkeypatch.setattr(sql_source, "_ROWS_OF_TYPES", "1000")  # which the driver gives at once

    assert read_source(config()).timestamps is not None
    with with_tables(config()) as tables:
        written = pq.ParquetFile(tables.interactions)
        groups = [written.metadata.row_group(n).num_rows for n in range(written.num_row_groups)]
        assert groups == [2_000, 2_000, 1_000]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("ann", "9", 1),
            "data.sql.interactions: item_id is not in data.sql.items: data row 4 ('9')",
        ),
        ((None, "8", 1), "data.sql.interactions: user_id is missing: data row 4 (no value)"),
        (
            ("ann", "8", "noon"),
            "data.sql.interactions: timestamp is not a number: data row 4 ('noon')",
        ),
    ],
)
def test_a_wrong_row_is_refused_with_query_row_and_value(
    row: tuple[object, object, object], message: str, shop: Shop
) -> None:
    texts = [(user, item, str(time)) for user, item, time in ROWS]
    shop([*texts, row])
    with pytest.raises(DataError) as caught:
        read_source(
            config("SELECT user_id, item_id, CAST(timestamp AS TEXT) AS timestamp FROM sales")
        )
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nonsense FROM sales", "the query fails: .*no such column: nonsense"),
        ("SELECT user_id, timestamp FROM sales", "missing columns: item_id; there are: user_id, t"),
        ("SELECT user_id, item_id FROM sales", "no column timestamp or position"),
        ("SELECT * FROM sales WHERE item_id = 'x'", "data.sql.interactions: no rows"),
        ("DELETE FROM sales", "the query fails: .*readonly"),
        ("SELECT user_id, 1.5 AS item_id, timestamp FROM sales", "item_id is stored as double; us"),
    ],
)
def test_a_query_that_gives_no_interactions_is_refused(
    query: str, message: str, shop: Shop
) -> None:
    shop()
    with pytest.raises(DataError, match=rf"^data\.sql\.interactions: .*{message}|^{message}"):
        read_source(config(query))


def test_a_column_without_values_in_the_first_rows_has_the_type_of_the_others(shop: Shop) -> None:
    shop([*((1, "8", time) for time in range(2_000)), ("ann", "8", 1)])
    raw = read_source(config("SELECT user_id, item_id, timestamp FROM sales"))
    assert list(raw.user_ids) == ["1", "ann"]


def test_a_column_whose_type_changes_far_down_is_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.sources.sql._ROWS_OF_TYPES", "1000")
    shop([*((1, "8", time) for time in range(2_000)), ("ann", "8", 1)])
    with pytest.raises(DataError, match=r"^data\.sql\.interactions: .*Type mismatch in column 0"):
        read_source(config("SELECT user_id, item_id, timestamp FROM sales"))


def test_a_column_that_occurs_twice_is_told(shop: Shop) -> None:
    shop([("ann", "8", 1)])
    with pytest.raises(DataError, match=r"^data\.sql\.interactions: column 'item_id' occurs twice"):
        read_source(config("SELECT user_id, item_id, item_id, timestamp FROM sales"))


def test_an_address_that_is_not_set_is_told_by_its_variable() -> None:
    with pytest.raises(ConfigError, match=f"variable {VARIABLE} is not set"):
        read_source(config())


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://clerk:s%C3%BCcret@127.0.0.1:1/shop",
        "postgresql://127.0.0.1:1/shop?user=clerk&password=s%C3%BCcret",
        "nonsense://clerk:s%C3%BCcret@127.0.0.1:1/shop",
        "postgresql://clerk:süc[/cret@127.0.0.1:1/shop",
    ],
)
def test_a_database_that_cannot_be_opened_is_told_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(DataError) as caught:
        read_source(config())

    assert str(caught.value).startswith(f"{VARIABLE}: cannot be opened: ")
    assert not any(secret in str(caught.value) for secret in ("cret", "süc", address))


def test_a_missing_database_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(DataError, match=r"none\.db: no such file"):
        read_source(config())
    assert not (tmp_path / "none.db").exists()


def test_without_the_extra_the_message_names_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop()
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite", None)
    with pytest.raises(ConfigError, match=r"install distilled-recommender\[sql\]"):
        read_source(config())


def test_prepare_makes_a_dataset_once_and_keeps_the_address_nowhere(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shop([(f"u{number % 4}", ("07", "8")[number % 2], number) for number in range(60)])
    (tmp_path / "shop.toml").write_text(
        '[data]\nsource = "sql"\nmin_interactions = 1\n'
        f'[data.sql]\naddress_variable = "{VARIABLE}"\n'
        f'interactions = "{QUERY}"\nitems = "{ITEMS}"\n'
    )
    words = [str(tmp_path / "shop.toml"), "--work", str(tmp_path / "work")]

    assert prepare.main(words) == 0
    assert prepare.main(words) == 0
    printed = "".join(capsys.readouterr())
    written = [each for each in (tmp_path / "work").rglob("*") if each.is_file()]
    assert "4 users, 2 items, 60 interactions" in printed
    assert "is current, nothing to do" in printed
    assert len(written) > 3
    secret = path.name
    assert secret not in printed
    assert not any(secret.encode() in each.read_bytes() for each in written)
