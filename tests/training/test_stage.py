from pathlib import Path

import pytest

from training.stage import (
    STAMP_NAME,
    fingerprint,
    is_current,
    publish,
    whole_file,
    write_text,
)


def test_a_published_folder_is_current_for_its_stamp_alone(tmp_path: Path) -> None:
    with publish(tmp_path / "stage", "abc") as building:
        (building / "result").write_text("42")
    assert (tmp_path / "stage" / "result").read_text() == "42"
    assert is_current(tmp_path / "stage", "abc")
    assert not is_current(tmp_path / "stage", "abd")


def test_a_failed_stage_leaves_the_older_result(tmp_path: Path) -> None:
    with publish(tmp_path / "stage", "old") as building:
        (building / "result").write_text("old")

    def fail() -> None:
        with publish(tmp_path / "stage", "new") as building:
            (building / "result").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert is_current(tmp_path / "stage", "old")
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_what_a_killed_stage_left_is_cleared_away(tmp_path: Path) -> None:
    for left in (".stage.building", ".stage.old"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "half").write_text("of it")
    with publish(tmp_path / "stage", "abc"):
        pass
    assert [path.name for path in (tmp_path / "stage").iterdir()] == [STAMP_NAME]
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_the_older_result_is_out_of_sight_before_a_file_of_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publish(tmp_path / "stage", "old"):
        pass
    deleted = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: deleted.append(path))
    with publish(tmp_path / "stage", "new"):
        pass
    assert tmp_path / "stage" not in deleted
    assert is_current(tmp_path / "stage", "new")
    assert is_current(tmp_path / ".stage.old", "old")


def test_a_file_that_is_half_written_leaves_the_older_one(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "file", "whole")

    def fail() -> None:
        with whole_file(tmp_path / "new" / "file") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "new" / "file").read_text() == "whole"


@pytest.mark.parametrize("content", [b"[]", b"{}", b"no json", b"\xff", b""])
def test_a_damaged_stamp_is_not_current(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STAMP_NAME).write_bytes(content)
    assert not is_current(tmp_path, "abc")


def test_equal_parts_have_equal_fingerprints_whatever_their_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("a", "b") != fingerprint("b", "a")
