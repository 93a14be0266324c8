"""RecBole's files are read as they lie."""

from pathlib import Path

import pytest

from training.data.sources.items_table import read_items
from training.data.sources.text_table import read_text_table
from training.errors import DataError

ATOMIC_ITEMS = (
    "item_id:token\tmovie_title:token_seq\tgenre:token_seq\n"
    "7\tSkyfall\tAction Spy\n8\tUp\t\n9\tMother!\tDrama\n"
)


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
