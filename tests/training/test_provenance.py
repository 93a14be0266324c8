"""The commit that a result is stamped with."""

import subprocess
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from training import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    program = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A working copy with the module in it, all committed."""
    written = {
        "training/provenance.py": Path(provenance.__file__).read_text(encoding="utf-8"),
        "export/graph.py": "",
        "benchmarks/out/graph.json": "{}",
        "docs/results/movielens.csv": "",
        "docs/results/runs/movielens/abc.npz": "",
    }
    for name, text in written.items():
        (path := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "All")
    return tmp_path


def commit_function_of(project: Path) -> Callable[[], str]:
    spec = spec_from_file_location("copied_provenance", project / "training" / "provenance.py")
    assert spec is not None
    assert spec.loader is not None
    copied = module_from_spec(spec)
    spec.loader.exec_module(copied)
    commit: Callable[[], str] = copied.commit
    return commit


def commit_in(project: Path) -> str:
    return commit_function_of(project)()


def test_a_clean_working_copy_is_its_commit(project: Path) -> None:
    assert commit_in(project) == git(project, "rev-parse", "--short=12", "HEAD")


def test_the_commit_of_another_working_copy_is_told(project: Path) -> None:
    assert provenance.commit(project) == git(project, "rev-parse", "--short=12", "HEAD")


@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ("export/graph.py", "+"),
        ("benchmarks/out/graph.json", ""),
        ("docs/results/movielens.csv", ""),
        ("docs/results/runs/movielens/abc.npz", "+"),
    ],
)
def test_a_changed_file_marks_the_commit_unless_it_is_a_report(
    project: Path, changed: str, mark: str
) -> None:
    (project / changed).write_text("other", encoding="utf-8")
    assert commit_in(project) == git(project, "rev-parse", "--short=12", "HEAD") + mark


def test_a_later_commit_does_not_change_the_commit_of_a_running_program(project: Path) -> None:
    commit = commit_function_of(project)
    before = commit()

    git(project, "commit", "--allow-empty", "--message", "Another")

    assert commit() == before


def test_outside_git_the_commit_is_unknown(project: Path) -> None:
    (project / ".git").rename(project / "not-git")
    assert commit_in(project) == "unknown"
