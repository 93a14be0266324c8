"""The items of a bundle can be the items of the next dataset."""

from pathlib import Path

import pytest

from training.data.sources.items_table import read_items
from training.errors import DataError

ROOT = Path(__file__).parents[4]


def test_the_items_of_a_bundle_are_read_with_their_attributes(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"item_id": "7", "title": "Heat", "popularity": 3, "attributes": {"genre": ["Crime"]}}\n'
        '{"item_id": "a", "title": "Up"}\n'
    )

    catalog = read_items(path)

    assert (catalog.item_ids, catalog.titles) == (("7", "a"), ("Heat", "Up"))
    assert catalog.attributes == ({"genre": ("Crime",)}, {})


def test_the_bundle_of_the_repository_is_a_table_of_items() -> None:
    assert read_items(ROOT / "assets/movielens/bundle/items.jsonl").num_items > 2_000


@pytest.mark.parametrize(
    "line",
    [
        *("[1]", "{", '{"item_id": "a"}', '{"item_id": 7, "title": "Up"}'),
        *('{"item_id":"a","title":""}', '{"item_id":"a","title":"&nbsp;"}'),
        *('{"item_id":" ","title":"Up"}', '{"item_id":"a","title":"Up","attributes":["x"]}'),
        '{"item_id":"a","title":"Up","attributes":' + "[" * 100_000,
    ],
)
def test_a_line_that_is_no_item_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": "7", "title": "Heat"}\n' + line)

    with pytest.raises(DataError, match=r"items.jsonl, line 2: not an item; needs item_id"):
        read_items(path)


@pytest.mark.parametrize(
    ("given", "shown"),
    [('"Acme"', "'Acme'"), ('["x", null]', r"\['x', None\]"), ("[1]", r"\[1\]"), ("null", "None")],
)
def test_an_attribute_that_is_no_list_of_strings_is_named(
    tmp_path: Path, given: str, shown: str
) -> None:
    attributes = f'{{"year": ["1995"], "brand": {given}}}'
    path = tmp_path / "items.jsonl"
    path.write_text(f'{{"item_id": "7", "title": "Heat", "attributes": {attributes}}}')

    message = rf"items\.jsonl, line 1: attributes\.brand: {shown}: must be a list of strings"
    with pytest.raises(DataError, match=message):
        read_items(path)


@pytest.mark.parametrize(
    "line",
    [
        r'{"item_id": "a", "title": "Up \ud83d"}',
        r'{"item_id": "a", "title": "Up", "attributes": {"genre": ["\ud83d"]}}',
    ],
)
def test_half_of_a_surrogate_pair_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(r'{"item_id": "7", "title": "\ud83d\ude00"}' + f"\n{line}\n")

    with pytest.raises(DataError, match=r"line 2: '.*\\ud83d': half of a surrogate pair"):
        read_items(path)


def test_an_item_that_occurs_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": "7", "title": "Heat"}\n' * 2)

    with pytest.raises(DataError, match="line 2: item_id '7' occurs more than once"):
        read_items(path)


@pytest.mark.parametrize("named", ["items", "items/*.csv"])
@pytest.mark.parametrize(
    ("row", "problem", "shown"),
    [
        ("a,Up", "item_id occurs more than once", "'a'"),
        (",Up", "item_id is missing", "''"),
        (
            "d,",
            'title is missing (data.missing_titles = "placeholder" would accept it)',
            "''",
        ),
    ],
)
def test_a_wrong_row_of_several_files_is_named_by_its_file_and_its_row_there(
    named: str, row: str, problem: str, shown: str, tmp_path: Path
) -> None:
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "a.csv").write_text("item_id,title\na,Heat\nb,Brazil\n")
    (tmp_path / "items" / "b.csv").write_text("item_id,title\n")
    (tmp_path / "items" / "c.csv").write_text(f"item_id,title\nc,Clue\n{row}\n")

    with pytest.raises(DataError) as caught:
        read_items(tmp_path / named)
    place = f"data row 2 of {tmp_path}/items/c.csv ({shown})"
    assert str(caught.value) == f"{tmp_path / named}: {problem}: {place}"
