"""`python -m release` builds committed files alone, with the same bytes, and never overwrites."""

import hashlib
import tarfile
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

from release.__main__ import main
from tests.release.conftest import git

NAMES = {
    "SHA256SUMS",
    "distilled-recommender-0.1.0-repository.tar.gz",
    "distilled-recommender-0.1.0-site.tar.gz",
    "distilled_recommender-0.1.0-py3-none-any.whl",
    "distilled_recommender-0.1.0.tar.gz",
    "distilled_recommender_client-0.1.0-py3-none-any.whl",
    "distilled_recommender_client-0.1.0.tar.gz",
}


def release(root: Path, dist: Path) -> int:
    return main(["--root", str(root), "--dist", str(dist), "--images", "no"])


def test_two_releases_of_a_commit_have_the_same_bytes_and_only_committed_files(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "dist").mkdir()
    (root / "dist/secret.key").write_text("ignored, so not committed")
    assert release(root, tmp_path / "first") == 0
    assert "docker compose --profile '*' build redis service" in capsys.readouterr().out
    time.sleep(1.1)  # so that a time of the clock would differ, in seconds
    copy = tmp_path / "another-folder"
    git(tmp_path, "clone", "--quiet", str(root), str(copy))
    assert release(copy, tmp_path / "second") == 0

    first, second = tmp_path / "first/0.1.0", tmp_path / "second/0.1.0"
    assert {each.name for each in first.iterdir()} == NAMES
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name
    with ZipFile(first / "distilled_recommender-0.1.0-py3-none-any.whl") as wheel:
        assert wheel.read("shop/__init__.py") == b"VERSION = 1\n"
    with tarfile.open(first / "distilled-recommender-0.1.0-site.tar.gz") as site:
        assert {"index.html", "upgrading/index.html"} <= {*site.getnames()}
    with tarfile.open(first / "distilled-recommender-0.1.0-repository.tar.gz") as tree:
        assert "dist/secret.key" not in tree.getnames()
    checksums = [line.split("  ") for line in (first / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in checksums} == NAMES - {"SHA256SUMS"}
    for digest, name in checksums:
        assert hashlib.sha256((first / name).read_bytes()).hexdigest() == digest


def test_a_release_is_refused_with_all_reasons(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "shop/__init__.py").write_text("changed\n")
    (root / "new.py").write_text("")
    git(root, "tag", "--delete", "v0.1.0")
    (tmp_path / "0.1.0").mkdir()

    assert release(root, tmp_path) == 2

    message = capsys.readouterr().err
    assert "2 files are not as committed, such as shop/__init__.py, new.py; commit them" in message
    assert "has not the tag v0.1.0, but none; `git tag v0.1.0` sets it" in message
    assert "0.1.0 exists, and a release is never overwritten; move it away" in message
    assert list((tmp_path / "0.1.0").iterdir()) == []


def test_a_release_that_fails_midway_leaves_nothing_and_tells_why(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "docs/index.md").write_text("[nowhere](nowhere.md)\n")
    git(root, "commit", "--all", "--quiet", "--message", "a link that leads nowhere")
    git(root, "tag", "--force", "v0.1.0")

    assert release(root, tmp_path / "dist") == 2

    assert "documentation site: " in (message := capsys.readouterr().err)
    assert "nowhere.md" in message
    assert list((tmp_path / "dist").iterdir()) == []
