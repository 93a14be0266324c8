"""The same interactions give one dataset fingerprint, in whatever form they lie.

They are real ones of MovieLens, in the order of their times, with ties. RecBole's files, RecTools'
columns, a database and a partitioned folder are written by the libraries that people write them
with, but for RecBole's, which are text, and Hugging Face's, whose library writes Arrow streams.
"""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.data.build import build_dataset
from training.data.sources.movielens import read_movielens
from training.settings.data import DataConfig, SqlConfig

NUM_ROWS = 4_000
VARIABLE = "FILMS_DATABASE"

Settings = Mapping[str, object]
Write = Callable[[pd.DataFrame, pd.DataFrame, Path], Settings]


@pytest.fixture(scope="module")
def interactions() -> pd.DataFrame:
    """The first interactions of MovieLens by time; those of one moment in the source's order."""
    raw = read_movielens()
    table = pd.DataFrame(
        {
            "user_id": [raw.user_ids[user] for user in raw.users],
            "item_id": [raw.catalog.item_ids[index - 1] for index in raw.item_indices],
            "timestamp": raw.timestamps,
        }
    )
    return table.sort_values("timestamp", kind="stable", ignore_index=True)[:NUM_ROWS]


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    catalog = read_movielens().catalog
    genres = ["|".join(each.get("genre", ())) for each in catalog.attributes]
    return pd.DataFrame({"item_id": catalog.item_ids, "title": catalog.titles, "genre": genres})


def csv(interactions: pd.DataFrame, items: pd.DataFrame, folder: Path) -> Settings:
    interactions.to_csv(folder / "i.csv", index=False)
    return {"source": "tables", "interactions": folder / "i.csv", **_items(items, folder)}


def recbole(interactions: pd.DataFrame, items: pd.DataFrame, folder: Path) -> Settings:
    """Atomic files, as RecBole's own data sets have them: with a rating, and `movie_title`."""
    inter = interactions.assign(rating=4.5)[["user_id", "item_id", "rating", "timestamp"]]
    types = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    inter.set_axis(types, axis=1).to_csv(folder / "ml.inter", sep="\t", index=False)
    genres = items["genre"].str.replace("|", " ")
    rows = zip(items["item_id"], items["title"], genres, strict=True)
    lines = ["item_id:token\tmovie_title:token_seq\tgenre:token_seq", *map("\t".join, rows)]
    (folder / "ml.item").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return {
        "source": "tables",
        "interactions": folder / "ml.inter",
        "items": folder / "ml.item",
    }


def rectools(interactions: pd.DataFrame, items: pd.DataFrame, folder: Path) -> Settings:
    """The columns of `rectools.Columns`: user_id, item_id, weight and datetime."""
    datetime = pd.to_datetime(interactions["timestamp"], unit="s")
    table = interactions[["user_id", "item_id"]].assign(weight=1.0, datetime=datetime)
    table.to_parquet(folder / "rectools.parquet", index=False)
    return {
        "source": "tables",
        "interactions": folder / "rectools.parquet",
        **_items(items, folder),
    }


def partitioned(interactions: pd.DataFrame, items: pd.DataFrame, folder: Path) -> Settings:
    """A folder by year and month, as Arrow, Spark and Hive write it."""
    moments = pd.to_datetime(interactions["timestamp"], unit="s")
    table = interactions.assign(year=moments.dt.year, month=moments.dt.strftime("%m"))
    pq.write_to_dataset(pa.Table.from_pandas(table), folder / "parts", ["year", "month"])
    assert len(list((folder / "parts").rglob("*.parquet"))) > 5
    return {"source": "tables", "interactions": folder / "parts", **_items(items, folder)}


def hugging_face_repository(
    interactions: pd.DataFrame, items: pd.DataFrame, folder: Path
) -> Settings:
    """Clones of two repositories of a hub: Parquet files with what describes them."""
    for name, table in (("films", interactions), ("titles", _with_lists(items))):
        (folder / name / "data").mkdir(parents=True)
        for file in ("README.md", "LICENSE", ".gitattributes", "dataset_infos.json"):
            (folder / name / file).write_text("about the data")
        half = len(table) // 2
        for number, part in enumerate((table[:half], table[half:])):
            part.to_parquet(folder / name / "data" / f"train-0000{number}-of-00002.parquet")
    return {"source": "tables", "interactions": folder / "films", "items": folder / "titles"}


def hugging_face_folder(interactions: pd.DataFrame, items: pd.DataFrame, folder: Path) -> Settings:
    """Folders as `Dataset.save_to_disk` writes them, and a `Dataset.map` after it."""
    for name, table in (("films", interactions), ("titles", _with_lists(items))):
        (folder / name).mkdir()
        (folder / name / "dataset_info.json").write_text("{}")
        (folder / name / "state.json").write_text("{}")
        rows = pa.Table.from_pandas(table, preserve_index=False)
        for file in ("data-00000-of-00001.arrow", "cache-0123456789abcdef.arrow"):
            with pa.ipc.new_stream(folder / name / file, rows.schema) as stream:
                stream.write_table(rows, max_chunksize=1_000)
    return {"source": "tables", "interactions": folder / "films", "items": folder / "titles"}


def sql(interactions: pd.DataFrame, items: pd.DataFrame, folder: Path) -> Settings:
    """A SQLite database with other names of tables and columns, whose rows lie in another order."""
    with sqlite3.connect(folder / "films.db") as database:
        sales = interactions.set_axis(["who", "film", "at"], axis=1).rename_axis("number")
        sales.sample(frac=1, random_state=1).to_sql("ratings", database)
        items.to_sql("films", database, index=False)
    database.close()
    queries = SqlConfig(
        address_variable=VARIABLE,
        interactions="SELECT who AS user_id, film AS item_id, at AS timestamp FROM ratings "
        "ORDER BY at, number",
        items="SELECT item_id, title, genre FROM films ORDER BY rowid",
    )
    return {"source": "sql", "sql": queries}


def _with_lists(items: pd.DataFrame) -> pd.DataFrame:
    lists = [[*filter(None, each.split("|"))] for each in items["genre"]]
    return items.assign(genre=pd.Series(lists, items.index))


def _items(items: pd.DataFrame, folder: Path) -> Settings:
    items.to_csv(folder / "items.csv", index=False)
    return {"items": folder / "items.csv"}


FORMS = [recbole, rectools, partitioned, hugging_face_repository, hugging_face_folder, sql]
Fingerprint = Callable[..., str]


@pytest.fixture
def fingerprint(
    items: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Fingerprint:
    """A function that writes interactions in a form, and builds the dataset of the files."""

    def build(write: Write, interactions: pd.DataFrame, order: str = "source") -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        monkeypatch.setenv(VARIABLE, f"sqlite:///{folder}/films.db")
        settings = {**write(interactions, items, folder), "min_interactions": 1, "order": order}
        return build_dataset("films", DataConfig.model_validate(settings)).fingerprint

    return build


@pytest.mark.parametrize("write", FORMS)
def test_every_form_has_the_fingerprint_of_a_plain_table(
    write: Write, interactions: pd.DataFrame, fingerprint: Fingerprint
) -> None:
    assert interactions["timestamp"].duplicated().sum() > 100
    assert fingerprint(write, interactions) == fingerprint(csv, interactions)


@pytest.mark.parametrize("write", FORMS)
def test_one_other_item_gives_another_fingerprint_in_every_form(
    write: Write, interactions: pd.DataFrame, fingerprint: Fingerprint
) -> None:
    item_ids = interactions["item_id"].tolist()
    changed = interactions.assign(item_id=[*item_ids[:7], item_ids[8], *item_ids[8:]])

    assert changed["item_id"].ne(interactions["item_id"]).sum() == 1
    assert fingerprint(write, changed) != fingerprint(csv, interactions)
    assert fingerprint(write, changed) == fingerprint(csv, changed)


@pytest.mark.parametrize("write", [csv, *FORMS])
def test_by_ids_the_same_rows_in_any_order_have_one_fingerprint(
    write: Write, interactions: pd.DataFrame, fingerprint: Fingerprint
) -> None:
    shuffled = interactions.sample(frac=1, random_state=2).reset_index(drop=True)

    assert fingerprint(write, shuffled, "ids") == fingerprint(csv, interactions, "ids")
    assert fingerprint(csv, shuffled) != fingerprint(csv, interactions)
