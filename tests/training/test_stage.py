from pathlib import Path

import numpy as np
import pytest

from training.errors import DiskError
from training.stage import (
    STAMP_NAME,
    fingerprint,
    is_current,
    write_array,
    write_stage,
    write_text,
)


def test_a_written_stage_is_current_for_its_own_stamp_only(tmp_path: Path) -> None:
    with write_stage(tmp_path / "stage", "abc") as building:
        (building / "result").write_text("42")
    assert (tmp_path / "stage" / "result").read_text() == "42"
    assert is_current(tmp_path / "stage", "abc")
    assert not is_current(tmp_path / "stage", "abd")


def test_a_failed_stage_leaves_the_older_result(tmp_path: Path) -> None:
    with write_stage(tmp_path / "stage", "old") as building:
        (building / "result").write_text("old")

    def fail() -> None:
        with write_stage(tmp_path / "stage", "new") as building:
            (building / "result").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert is_current(tmp_path / "stage", "old")
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_a_full_disk_is_an_error_of_the_user_that_names_the_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskError, match=rf"{tmp_path}/dataset: No space left on device; .*/dataset"),
        write_stage(tmp_path / "dataset", "stamp"),
    ):
        Path("/dev/full").write_bytes(b"x")


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_is_full_while_an_array_is_written_is_named_with_its_file(
    tmp_path: Path,
) -> None:
    write_array(tmp_path / "array.npy", np.zeros(8))
    with pytest.raises(DiskError, match=rf"{tmp_path}/array\.npy: .+"):
        write_array(tmp_path / "array.npy", np.zeros(8_000))
    assert len(np.load(tmp_path / "array.npy")) == 8


def test_the_predecessor_that_a_killed_replacement_left_is_current(tmp_path: Path) -> None:
    with write_stage(tmp_path / "stage", "old"):
        pass
    (tmp_path / "stage").rename(tmp_path / ".stage.replaced")
    assert is_current(tmp_path / "stage", "old")


def test_text_is_written_in_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "file", "Amélie")
    assert (tmp_path / "new" / "file").read_bytes() == "Amélie".encode()


@pytest.mark.parametrize("content", [b"[]", b"{}", b"no json", b"\xff", b""])
def test_a_damaged_stamp_is_not_current(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STAMP_NAME).write_bytes(content)
    assert not is_current(tmp_path, "abc")


def test_equal_parts_have_equal_fingerprints_whatever_their_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("a", "b") != fingerprint("b", "a")
