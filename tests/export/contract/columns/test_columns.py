"""Columns of items: what they hold, and what reading by them answers."""

import json
import mmap
from pathlib import Path

import pytest

from export.contract.bundle import Bundle, BundleError, BundleLayout, Item, load_bundle, save_bundle
from export.contract.columns.layout import HASH_PARTS, hash_of, open_columns, release
from export.contract.columns.mapped_items import MappedItems
from export.contract.columns.writing import check_columns, write_columns
from export.contract.items import line_of
from export.contract.reading import open_verified, sha256_of

ITEMS = [
    Item("a", "Toy\nStory", 5, {"genres": ["comedy", "toys"]}),
    Item("b", "Heat", 9),
    Item("ü", "Straße", 5, {"genres": ["comedy"], "year": ["1995"]}, is_read=False),
]
# The first bytes of their hashes are the same.
ALIKE = "i67370", "i128436"


def written(folder: Path, items: list[Item]) -> tuple[Path, Path]:
    lines, columns = folder / "items.jsonl", folder / "item_columns.safetensors"
    lines.write_text("".join(json.dumps(line_of(each)) + "\n" for each in items), encoding="utf-8")
    write_columns(lines, columns)
    return lines, columns


def mapped(folder: Path, items: list[Item]) -> MappedItems:
    lines, columns = written(folder, items)
    text = open_verified(lines, 1 << 20, sha256_of(lines, 1 << 20))
    with columns.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return MappedItems(lines, text, open_columns(columns, content, len(items)))


def test_columns_hold_what_the_lines_do(tmp_path: Path) -> None:
    columns = mapped(tmp_path, ITEMS).columns
    by_hash = sorted(
        (*HASH_PARTS.unpack(hash_of(each.item_id)), index)
        for index, each in enumerate(ITEMS, start=1)
    )
    names = "hashes", "checks", "items_by_hash"
    assert [*zip(*(columns[each] for each in names), strict=True)] == by_hash
    assert columns["by_popularity"].tolist() == [2, 1, 3]
    assert columns["unread"].tolist() == [3]
    values = json.loads(bytes(columns["values"]))
    assert values == [["genres", "comedy", 2], ["genres", "toys", 1], ["year", "1995", 1]]
    assert columns["postings"].tolist() == [1, 3, 1, 3]
    assert bytes(columns["titles"]) == b"heat\ntoy story\nstrasse\n"
    assert columns["title_starts"].tolist() == [0, 5, 15, 23]


def test_the_lines_of_mapped_items_are_no_memory_of_the_process(tmp_path: Path) -> None:
    items = mapped(tmp_path, ITEMS)
    assert list(items) == ITEMS
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    assert str(tmp_path / "item_columns.safetensors") in maps
    assert str(tmp_path / "items.jsonl") not in maps


def test_a_released_column_is_no_memory_of_the_process_and_can_be_read_again(
    tmp_path: Path,
) -> None:
    titles = mapped(tmp_path, ITEMS).columns["titles"]
    read = bytes(titles)
    assert resident_kib(tmp_path / "item_columns.safetensors") > 0
    release(titles)
    assert resident_kib(tmp_path / "item_columns.safetensors") == 0
    assert bytes(titles) == read


def resident_kib(path: Path) -> int:
    """Resident memory of this process in pages of a mapped file."""
    mappings = Path("/proc/self/smaps").read_text(encoding="utf-8")
    of_file = mappings.partition(str(path))[2]
    return int(of_file.partition("Rss:")[2].split()[0])


def test_mapped_items_are_the_items(tmp_path: Path) -> None:
    items = mapped(tmp_path, ITEMS)
    assert list(items) == ITEMS
    assert [items[0], items[-1]] == [ITEMS[0], ITEMS[2]]
    assert items[1:] == (ITEMS[1], ITEMS[2])
    assert [items.index_of(each) for each in ("a", "ü", "c", "\ud800")] == [1, 3, None, None]
    with pytest.raises(IndexError):
        items[3]


def test_ids_whose_hashes_begin_alike_are_told_apart(tmp_path: Path) -> None:
    one, other = (HASH_PARTS.unpack(hash_of(each)) for each in ALIKE)
    assert one[0] == other[0]
    assert one[1] != other[1]
    items = mapped(tmp_path, [Item(ALIKE[0], "one"), Item("x", "two"), Item(ALIKE[1], "three")])
    assert [items.index_of(each) for each in ALIKE] == [1, 3]


def test_an_id_with_any_character_is_found(tmp_path: Path) -> None:
    ids = 'a"b', "a\\b", "ü", "a"
    items = mapped(tmp_path, [Item(each, "Heat", 1) for each in ids])
    assert [items.index_of(each) for each in ids] == [1, 2, 3, 4]


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="line 3: item_id 'a' occurs twice"):
        written(tmp_path, [Item("a", "one"), Item("b", "two"), Item("a", "three")])


def test_columns_of_other_items_are_refused(tmp_path: Path) -> None:
    lines, columns = written(tmp_path, ITEMS)
    check_columns(lines, columns, tmp_path / "scratch")
    lines.write_text(lines.read_text(encoding="utf-8").replace("Heat", "Cold"), encoding="utf-8")
    with pytest.raises(BundleError, match=r"not the columns of items\.jsonl"):
        check_columns(lines, columns, tmp_path / "scratch")


@pytest.mark.parametrize("damage", ["short", "header", "number"])
def test_a_damaged_file_of_columns_is_refused(tmp_path: Path, damage: str) -> None:
    _, path = written(tmp_path, ITEMS)
    content = path.read_bytes()
    changed = {
        "short": content[:-1],
        "header": content.replace(b"U64", b"U99", 1),
        "number": content,
    }[damage]
    path.write_bytes(changed)
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with pytest.raises(BundleError, match=r"item_columns\.safetensors: "):
        open_columns(path, whole, 4 if damage == "number" else 3)


def bundle_of(folder: Path, columns_from: int) -> Bundle:
    (folder / "exported.onnx").write_bytes(b"graph")
    save_bundle(
        folder / "bundle",
        folder / "exported.onnx",
        ITEMS,
        columns_from=columns_from,
        student="sasrec",
        max_history_length=50,
        metrics={},
        parity_error=0.0,
        provenance={},
    )
    return load_bundle(folder / "bundle")


def test_only_a_bundle_of_many_items_has_columns(tmp_path: Path) -> None:
    assert bundle_of(tmp_path, columns_from=4).items == tuple(ITEMS)
    assert not BundleLayout(tmp_path / "bundle").item_columns.exists()
    large = bundle_of(tmp_path, columns_from=3)
    assert isinstance(large.items, MappedItems)
    assert list(large.items) == ITEMS
    assert large.manifest.num_items == 3


@pytest.mark.parametrize("name", ["items.jsonl", "item_columns.safetensors"])
def test_a_changed_file_is_refused_by_its_hash(tmp_path: Path, name: str) -> None:
    bundle_of(tmp_path, columns_from=3)
    path = tmp_path / "bundle" / name
    path.write_bytes(path.read_bytes()[:-2] + b"  ")
    with pytest.raises(BundleError, match=f"{name}: sha256 is"):
        load_bundle(tmp_path / "bundle")
