"""Parts of an answered file, which a killed run leaves and the next one joins."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from distilled_recommender.recommend.parts import Parts
from training.errors import ConfigError


def test_a_run_does_not_overwrite_what_another_one_has_just_finished(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "out.parquet")
    parts.out.touch()
    with pytest.raises(ConfigError, match="another run"), parts.open("stamp"):
        pass
    assert not parts.folder.exists()


def test_the_next_run_removes_what_a_killed_joining_left(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "out.parquet")
    with parts.open("stamp"):
        parts.write(0, pa.table({"user": [1]}))

        def killed(_: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            parts.join([0], killed)
    assert list(tmp_path.iterdir()) == [parts.folder]
    with parts.open("stamp"):
        parts.join([0])
    assert list(tmp_path.iterdir()) == [parts.out]


def test_no_part_outlives_the_stamp_that_says_what_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(tmp_path / "out.parquet")

    def killed(folder: Path) -> None:
        (folder / "stamp").unlink()  # folders are removed in any order
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with parts.open("stamp"):
        parts.write(0, pa.table({"user": [1]}))
        with pytest.raises(KeyboardInterrupt):
            parts.join([0])
    parts.out.unlink()
    with parts.open("the stamp of another run"):
        assert not parts.path(0).exists()
