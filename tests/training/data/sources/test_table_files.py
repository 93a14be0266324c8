"""A table in many files, read in many batches, has the same rows, values and errors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data import large_arrays, row_order
from training.data.build import build_dataset
from training.data.dataset import Dataset
from training.data.sources import columnar_file, text_table
from training.data.sources.opening import source_stamps
from training.data.sources.table_files import find_table_files
from training.data.sources.tables import read_tables
from training.data.sources.text_table import read_text_table
from training.data.storage import save_dataset
from training.errors import DataError
from training.settings.data import DataConfig

NUM_ROWS, NUM_USERS, NUM_ITEMS = 600, 70, 40
KNOWN_FINGERPRINT = "769ba235a841179e"  # of the release before tables were read in batches


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Random interactions of few users and items, so that the k-core filter leaves some out."""
    random = np.random.RandomState(7)  # the same numbers in every version of NumPy
    return pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in (NUM_USERS * random.rand(NUM_ROWS) ** 2).astype(int)],
            "item_id": [f"{n:03}" for n in (NUM_ITEMS * random.rand(NUM_ROWS) ** 5).astype(int)],
            "timestamp": random.randint(0, 300, NUM_ROWS),
        }
    )


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("items") / "items.csv"
    lines = [f"{n:03},Title {n},even|odd" for n in range(NUM_ITEMS)]
    path.write_text("\n".join(["item_id,title,kind", *lines]) + "\n")
    return path


@pytest.fixture
def tiny_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """All limits are so small that 600 rows are read, sorted and filtered as if they were many."""
    monkeypatch.setattr(text_table, "ROWS_A_BATCH", 41)
    monkeypatch.setattr(columnar_file, "ROWS_A_BATCH", 41)
    monkeypatch.setattr(large_arrays, "ROWS_A_BLOCK", 37)
    monkeypatch.setattr(row_order, "ROWS_A_BLOCK", 37)
    monkeypatch.setattr(row_order, "MAX_BYTES_IN_MEMORY", 1)
    monkeypatch.setattr(large_arrays, "MAX_BYTES_IN_MEMORY", 1)


def written(rows: pd.DataFrame, form: str, folder: Path) -> Path:
    """Writes the rows in a form that `data.interactions` may name; returns the path to name."""
    if form == "csv":
        rows.to_csv(folder / "i.csv", index=False)
        return folder / "i.csv"
    if form == "parquet":
        rows.to_parquet(folder / "i.parquet")
        return folder / "i.parquet"
    if form == "inter":
        types = ["user_id:token", "item_id:token", "timestamp:float"]
        rows.set_axis(types, axis=1).to_csv(folder / "i.inter", sep="\t", index=False)
        return folder / "i.inter"
    parts = folder / "parts"
    for number, start in enumerate(range(0, NUM_ROWS, 150)):
        part = parts / f"day={number}" / "part-0.parquet"
        part.parent.mkdir(parents=True)
        rows[start : start + 150].to_parquet(part)
    (parts / "_SUCCESS").touch()
    return parts if form == "folder" else parts / "day=*" / "*.parquet"


def config_of(interactions: Path, items: Path) -> DataConfig:
    return DataConfig(source="tables", interactions=interactions, items=items, min_interactions=5)


def files_of(dataset: Dataset, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    save_dataset(dataset, folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("form", ["csv", "parquet", "inter", "folder", "pattern"])
def test_every_form_gives_the_dataset_of_former_releases_also_beyond_memory(
    rows: pd.DataFrame, items: Path, form: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = config_of(written(rows, form, tmp_path), items)
    in_memory = build_dataset("films", config)
    request.getfixturevalue("tiny_memory")
    beyond_memory = build_dataset("films", config)

    assert isinstance(beyond_memory.item_indices, np.memmap)
    assert in_memory.fingerprint == KNOWN_FINGERPRINT
    assert files_of(beyond_memory, tmp_path / "a") == files_of(in_memory, tmp_path / "b")


def test_by_ids_rows_in_any_order_give_one_dataset_also_beyond_memory(
    rows: pd.DataFrame, items: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    by_ids = config_of(written(rows, "csv", tmp_path), items).model_copy(update={"order": "ids"})
    in_memory = build_dataset("films", by_ids)
    lines = items.read_text().splitlines()
    backwards = tmp_path / "backwards.csv"
    backwards.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    written(rows[::-1], "csv", tmp_path)
    request.getfixturevalue("tiny_memory")
    beyond_memory = build_dataset("films", by_ids.model_copy(update={"items": backwards}))

    assert list(in_memory.user_ids) == sorted(in_memory.user_ids)
    assert list(in_memory.catalog.item_ids) == sorted(in_memory.catalog.item_ids)
    assert files_of(beyond_memory, tmp_path / "a") == files_of(in_memory, tmp_path / "b")


@pytest.mark.usefixtures("tiny_memory")
def test_wrong_rows_of_all_files_are_reported_in_one_error(
    rows: pd.DataFrame, items: Path, tmp_path: Path
) -> None:
    wrong = rows.assign(item_id=rows["item_id"].where(~rows.index.isin([3, 149, 150, 599]), "?"))
    path = written(wrong, "folder", tmp_path)

    with pytest.raises(DataError) as caught:
        read_tables(path, items)
    places = [
        f"data row {row} of {path}/day={day}/part-0.parquet ('?')"
        for row, day in ((4, 0), (150, 0), (1, 1))
    ]
    assert str(caught.value) == (
        f"{path}: item_id is not in {items}: {', '.join(places)} and 1 more"
    )


@pytest.mark.usefixtures("tiny_memory")
def test_a_date_among_numbers_is_refused_even_in_an_earlier_batch(
    items: Path, tmp_path: Path
) -> None:
    lines = ["ann,001,2020-01-01"] * 100 + ["ann,001,5"]
    (tmp_path / "i.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]))

    message = r"timestamp is not a number: data row 1 \('2020-01-01'\).* and 97 more"
    with pytest.raises(DataError, match=message):
        read_tables(tmp_path / "i.csv", items)


@pytest.mark.usefixtures("tiny_memory")
def test_a_fraction_in_a_later_batch_makes_all_timestamps_fractions(
    items: Path, tmp_path: Path
) -> None:
    lines = [f"ann,001,{time}" for time in [*range(100), 98.5]]
    (tmp_path / "i.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]))

    timestamps = read_tables(tmp_path / "i.csv", items).timestamps

    assert timestamps is not None
    assert timestamps[-3:].tolist() == [98.0, 98.5, 99.0]


def test_the_names_of_folders_are_values_of_columns(items: Path, tmp_path: Path) -> None:
    for split, time in (("train", 1), ("validation", 2), ("test", 3)):
        part = tmp_path / f"split={split}" / "user_id=a%20b" / "i.csv"
        part.parent.mkdir(parents=True)
        part.write_text(f"item_id,timestamp\n001,{time}\n")

    raw = read_tables(tmp_path, items)

    assert raw.user_ids == ("a b",)
    assert raw.splits is not None
    assert raw.splits.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    "named", ["", "user_id=ann", "user_id=ann/*.csv", "user_id=*/i.csv", "user_id=ann/i.csv"]
)
def test_a_partition_has_its_values_when_it_is_named_itself(
    named: str, items: Path, tmp_path: Path
) -> None:
    part = tmp_path / "run=7" / "parts" / "split=test" / "user_id=ann" / "i.csv"
    part.parent.mkdir(parents=True)
    part.write_text("item_id,timestamp\n001,1\n")
    path = part.parents[1] / named

    assert read_tables(path, items).user_ids == ("ann",)
    # Folders above a folder that is no partition belong to something else.
    (file,) = find_table_files(path)
    assert file.partition == {"split": "test", "user_id": "ann"}


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("dir[1]/*.csv", ["dir[1]/a.csv", "dir[1]/b.csv"]),
        ("dir[1]/[b].csv", ["dir[1]/b.csv"]),
        ("dir[1]/a.csv", ["dir[1]/a.csv"]),
        ("dir[1]", ["dir[1]/a.csv", "dir[1]/b.csv"]),
        ("dir[12]/a.csv", ["dir1/a.csv", "dir2/a.csv"]),
    ],
)
def test_a_path_that_exists_is_no_pattern_though_it_has_brackets(
    named: str, found: list[str], tmp_path: Path
) -> None:
    for name in ("dir[1]/a.csv", "dir[1]/b.csv", "dir1/a.csv", "dir2/a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("user_id\nann\n")

    files = find_table_files(tmp_path / named)

    assert [str(each.path.relative_to(tmp_path)) for each in files] == found


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A table of two days, one of them a link to a folder that lies elsewhere."""
    for name in ("table/day=0/sub/a.csv", "elsewhere/sub/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("user_id\nann\n")
    (tmp_path / "table" / "day=1").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "table"


@pytest.mark.parametrize(
    "named", ["", "**", "*/*/*.csv", "**/*.csv", "**/sub/*.csv", "day=*/**/a.csv", "**/**/*"]
)
def test_links_to_folders_are_followed_however_the_table_is_named(named: str, linked: Path) -> None:
    files = find_table_files(linked / named)

    assert [str(each.path.relative_to(linked)) for each in files] == [
        "day=0/sub/a.csv",
        "day=1/sub/a.csv",
    ]
    assert [each.partition for each in files] == [{"day": "0"}, {"day": "1"}]


@pytest.mark.parametrize("target", ["table", ".", "table/day=0"])
def test_a_link_to_a_folder_that_it_lies_in_is_refused(
    target: str, linked: Path, tmp_path: Path
) -> None:
    link = linked / "day=0" / "back"
    link.symlink_to(tmp_path / target)

    for named in ("", "*/*/*.csv", "**/*.csv"):
        with pytest.raises(DataError) as caught:
            find_table_files(linked / named)
        assert str(caught.value) == f"{link}: leads back to {tmp_path / target}; remove the link"
    # What the pattern leaves out is not looked at.
    assert len(find_table_files(linked / "*" / "sub" / "*.csv")) == 2


def test_two_links_that_lead_to_each_other_are_refused(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "more").symlink_to(tmp_path / "third")
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "back").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DataError, match=r"day=1/more/back: leads back to .*/elsewhere;"):
        find_table_files(linked)


def test_a_link_by_which_a_file_would_be_read_twice_is_refused(linked: Path) -> None:
    (linked / "newest").symlink_to(linked / "day=0")

    with pytest.raises(DataError, match=r"newest/sub/a\.csv: the same file as .*day=0/sub/a\.csv,"):
        find_table_files(linked)
    assert len(find_table_files(linked / "day=*" / "**" / "*.csv")) == 2


def test_a_link_to_a_missing_folder_is_refused_as_its_rows_would_be_lost(
    linked: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").rename(tmp_path / "moved")

    for named in ("", "*/*/*.csv", "**/*.csv"):
        with pytest.raises(DataError, match=r"day=1: a link to .*/elsewhere, which is missing"):
            find_table_files(linked / named)
    assert len(find_table_files(linked / "day=0" / "**" / "*.csv")) == 1


def test_the_name_of_hive_for_a_missing_value_is_no_value(items: Path, tmp_path: Path) -> None:
    part = tmp_path / "parts" / "user_id=__HIVE_DEFAULT_PARTITION__" / "i.csv"
    part.parent.mkdir(parents=True)
    part.write_text("item_id,timestamp\n001,1\n")

    with pytest.raises(DataError, match=r"user_id is missing: data row 1 of .*i\.csv \(no value\)"):
        read_tables(tmp_path / "parts", items)


def test_a_byte_that_is_not_utf_8_is_found_far_behind_the_first_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_table, "_BUFFER", 5)  # é, of two bytes, lies in two blocks
    path = tmp_path / "i.csv"
    path.write_bytes("user_id,item_id\né,1\né,2\n".encode() + b"ann,\xe9\n")

    with pytest.raises(DataError, match=r"not UTF-8: byte 0xe9 at offset 30, line 4"):
        read_text_table(path, ["user_id"])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"parts: no file; a table needs at least one, \.csv, \.parquet, "),
        ({"_SUCCESS": "", ".a.csv.crc": "x"}, "parts: no file"),
        ({"a.csv": "user_id\n1\n", "notes.txt": "x"}, r"notes\.txt: suffix '\.txt': must be"),
        ({"a.csv": "user_id\n1\n", "rows.json": "{}"}, r"rows\.json: suffix '\.json': must be"),
        ({"a.csv": "user_id\n1\n", "b.csv": ""}, r"b\.csv: empty file"),
        ({"a.csv": "user_id,x\n1,2\n", "b.csv": "user_id\n1\n"}, r"b\.csv: columns user_id: must"),
        ({"a.csv": "user_id\n1\n", "b.csv": "x\n1\n"}, r"b\.csv: missing columns: user_id"),
        ({"a.csv": "user_id\n", "b.csv": "user_id\n"}, "parts: no rows"),
    ],
)
def test_a_folder_that_is_no_table_is_refused_with_the_file(
    files: dict[str, str], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)

    with pytest.raises(DataError, match=message):
        read_text_table(folder, ["user_id"])


def test_a_dataset_is_made_anew_when_a_folder_has_another_file(
    rows: pd.DataFrame, items: Path, tmp_path: Path
) -> None:
    config = config_of(written(rows, "folder", tmp_path), items)
    before = source_stamps(config)
    rows.to_parquet(tmp_path / "parts" / "new.parquet")

    assert len(before) == 5  # four parts and the items
    assert source_stamps(config) == [*before[:4], source_stamps(config)[4], before[4]]


def test_a_dataset_is_made_anew_when_a_folder_gives_another_value(
    items: Path, tmp_path: Path
) -> None:
    part = tmp_path / "parts" / "user_id=ann" / "a.csv"
    part.parent.mkdir(parents=True)
    part.write_text("item_id\n1\n")
    config = config_of(tmp_path / "parts", items)
    before = source_stamps(config)
    part.parent.rename(tmp_path / "parts" / "user_id=bob")

    assert source_stamps(config)[0] != before[0]
    assert source_stamps(config)[1:] == before[1:]
