"""Test of .dockerignore: which files of the checkout reach an image."""

import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.compose.conftest import ROOT

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

FOLDERS = ("assets", "configs", "docker", "export", "locks", "service", "training")
FILES = (".dockerignore",)
STRAY = (".env", "leak.key", "leak.pem", ".git/config", "secrets/redis_url", "deeper/.env")
OTHER_FILES = ("dump.sql", "notes.txt")


def test_stray_files_are_in_no_build_context_and_needed_files_are(
    stack: "Stack", tmp_path: Path
) -> None:
    context, out = tmp_path / "context", tmp_path / "out.tar"
    known = stack.run("git", "ls-files", *FOLDERS, *FILES).split()
    for name in known:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, context / name)
    for folder in (".", *FOLDERS, "service/teacher", "docker/redis", "assets/movielens/bundle"):
        for name in STRAY:
            add(context / folder / name)
    for folder in ("configs", "export", "service", "service/static", "training"):
        for name in OTHER_FILES:
            add(context / folder / name)
    add(tmp_path / "Dockerfile", "FROM scratch\nCOPY . /\n")
    options = ("--file", tmp_path / "Dockerfile", "--output", f"type=tar,dest={out}")
    stack.run("docker", "build", "--quiet", *options, context)
    with tarfile.open(out) as image:
        reached = {member.name for member in image if member.isfile()}
    assert reached == set(known) - {".dockerignore", "assets/README.md"}


def add(path: Path, text: str = "a secret") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
