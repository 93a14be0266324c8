from pathlib import Path

import pytest

from export.contract.folders import finish_replacement, readable_folder, whole_file, whole_folder


def write(folder: Path, content: str) -> None:
    with whole_folder(folder) as building:
        (building / "result").write_text(content)


def read(folder: Path) -> str:
    return (readable_folder(folder) / "result").read_text()


def test_a_folder_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "some" / "folder", "old")
    write(tmp_path / "some" / "folder", "new")
    assert read(tmp_path / "some" / "folder") == "new"
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["folder"]


def test_a_failure_leaves_the_older_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "folder", "old")

    def fail() -> None:
        with whole_folder(tmp_path / "folder") as building:
            (building / "result").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert read(tmp_path / "folder") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_failure_after_a_killed_replacement_leaves_the_predecessor(tmp_path: Path) -> None:
    write(tmp_path / ".folder.replaced", "old")

    def fail() -> None:
        with whole_folder(tmp_path / "folder"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert read(tmp_path / "folder") == "old"


@pytest.mark.parametrize("role", ["building", "replaced", "removed"])
def test_the_remains_of_a_killed_replacement_are_removed_by_the_next_one(
    role: str, tmp_path: Path
) -> None:
    write(tmp_path / "folder", "old")
    (tmp_path / f".folder.{role}").mkdir()
    (tmp_path / f".folder.{role}" / "half").write_text("of a result")
    write(tmp_path / "folder", "new")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["result"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_older_folder_is_out_of_sight_before_a_file_of_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "folder", "old")
    deleted = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: deleted.append(path))
    write(tmp_path / "folder", "new")
    assert {path.name for path in deleted} == {".folder.building", ".folder.removed"}
    assert read(tmp_path / "folder") == "new"
    assert read(tmp_path / ".folder.removed") == "old"


def test_the_predecessor_is_read_between_two_renames_and_can_be_put_back(tmp_path: Path) -> None:
    write(tmp_path / "folder", "old")
    (tmp_path / "folder").rename(tmp_path / ".folder.replaced")
    assert read(tmp_path / "folder") == "old"
    finish_replacement(tmp_path / "folder")
    assert (tmp_path / "folder" / "result").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_predecessor_whose_successor_is_in_place_is_removed(tmp_path: Path) -> None:
    write(tmp_path / "folder", "new")
    write(tmp_path / ".folder.replaced", "old")
    write(tmp_path / ".folder.building", "newer")
    finish_replacement(tmp_path / "folder")
    assert (tmp_path / "folder" / "result").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_nothing_is_put_back_where_nothing_was_replaced(tmp_path: Path) -> None:
    finish_replacement(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    assert readable_folder(tmp_path / "folder") == tmp_path / "folder"


def test_a_link_stays_a_link_and_its_folder_is_found_between_two_renames(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "folder", "old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "folder")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "elsewhere" / "folder") == "new"
    (tmp_path / "elsewhere" / "folder").rename(tmp_path / "elsewhere" / ".folder.replaced")
    assert read(tmp_path / "link") == "new"


def test_a_half_written_file_leaves_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with whole_file(path) as file:
        file.write(b"whole")

    def fail() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"whole"
