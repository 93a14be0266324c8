"""RecBole's files and RecTools' columns are read as they lie, into one and the same dataset."""

from pathlib import Path

import pandas as pd
import pytest

from training.data.build import build_dataset
from training.data.sources.items_table import read_items
from training.data.sources.text_table import read_text_table
from training.errors import DataError
from training.settings.data import DataConfig

ROWS = [
    ("ann", "7", 10),
    ("bob", "8", 20),
    ("ann", "8", 30),
    ("bob", "7", 40),
    ("ann", "9", 50),
    ("bob", "9", 60),
]
ITEMS = "item_id,title,genre\n7,Skyfall,Action|Spy\n8,Up,\n9,Mother!,Drama\n"
ATOMIC_ITEMS = (
    "item_id:token\tmovie_title:token_seq\tgenre:token_seq\n"
    "7\tSkyfall\tAction Spy\n8\tUp\t\n9\tMother!\tDrama\n"
)


def fingerprint(interactions: Path, items: Path) -> str:
    config = DataConfig(
        source="tables",
        interactions=interactions,
        items=items,
        min_interactions=1,
        validation_share=0.2,
        test_share=0.2,
    )
    return build_dataset("films", config).fingerprint


def test_csv_recbole_rectools_and_parquet_give_one_fingerprint(tmp_path: Path) -> None:
    table = pd.DataFrame(ROWS, columns=["user_id", "item_id", "timestamp"])
    table.to_csv(tmp_path / "i.csv", index=False)
    (tmp_path / "items.csv").write_text(ITEMS)
    atomic = table.set_axis(["user_id:token", "item_id:token", "timestamp:float"], axis=1)
    atomic.to_csv(tmp_path / "films.inter", sep="\t", index=False)
    (tmp_path / "films.item").write_text(ATOMIC_ITEMS)
    rectools = table[["user_id", "item_id"]].assign(
        weight=1.0, datetime=pd.to_datetime(table["timestamp"], unit="s")
    )
    rectools.to_parquet(tmp_path / "rectools.parquet")

    expected = fingerprint(tmp_path / "i.csv", tmp_path / "items.csv")
    assert fingerprint(tmp_path / "films.inter", tmp_path / "films.item") == expected
    assert fingerprint(tmp_path / "rectools.parquet", tmp_path / "items.csv") == expected


def test_an_atomic_title_is_found_by_its_ending_and_sequences_are_values(tmp_path: Path) -> None:
    (tmp_path / "films.item").write_text(ATOMIC_ITEMS.replace("Mother!", 'A "Mother"'))
    catalog = read_items(tmp_path / "films.item")

    assert catalog.titles == ("Skyfall", "Up", 'A "Mother"')
    assert catalog.attributes[0] == {"genre": ("Action", "Spy")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id\titem_id\n1\t2\n", "column 'user_id': must be NAME:TYPE, with a name"),
        ("a:token\ta:token\n1\t2\n", "column .a:token"),
        ("user_id:text\n1\n", "'user_id:text': .* a type of token, token_seq, float, float_seq"),
        ("user_id:token\n1\t2\n", "more values than the header"),
        ("user_id:token\ta:token\n1\t2\n3\t4\t5\n", "not an atomic file of RecBole"),
        ("user_id:token\n1\n", "missing columns: item_id; there are: user_id"),
    ],
)
def test_an_atomic_file_of_another_form_is_refused_with_its_name(
    content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "films.inter").write_text(content)
    with pytest.raises(DataError, match=r"films\.inter: .*" + message):
        read_text_table(tmp_path / "films.inter", ["user_id", "item_id"])
