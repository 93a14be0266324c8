"""Folders of segments: what a collector may read, and what a living worker still writes."""

import os
import shutil
from pathlib import Path

import pytest

from export.contract.log.segments import SegmentWriter
from export.contract.log.worker_folders import (
    complete_segments,
    make_folder,
    release,
    seal,
    take_orphans,
)


def test_of_a_living_worker_only_sealed_segments_are_complete(tmp_path: Path) -> None:
    folder, lock = make_folder(tmp_path)
    for number in (1, 2):
        writer = SegmentWriter(folder / f"{number:08}.open")
        writer.close()
    sealed = seal(folder / "00000001.open")
    assert take_orphans(tmp_path) == {}
    assert complete_segments(tmp_path, {}) == [sealed]
    os.close(lock)
    taken = take_orphans(tmp_path)
    assert complete_segments(tmp_path, taken) == [sealed, folder / "00000002.open"]
    release(taken)
    assert folder.exists()


def test_a_folder_of_an_ended_worker_goes_with_its_last_segment(tmp_path: Path) -> None:
    folder, lock = make_folder(tmp_path)
    os.close(lock)
    release(take_orphans(tmp_path))
    assert not folder.exists()


def test_a_folder_that_another_process_has_removed_meanwhile_is_released(tmp_path: Path) -> None:
    gone, lock = make_folder(tmp_path)
    left, another_lock = make_folder(tmp_path)
    shutil.rmtree(gone)
    release({gone: lock, left: another_lock})
    assert not left.exists()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(another_lock)
