"""Fixtures: a small repository that can be released as 0.1.0."""

import subprocess
from pathlib import Path

import pytest

from release.versions import CHANGELOG, CLIENT, KUSTOMIZATIONS, PYPROJECT, TYPESCRIPT, UPGRADING

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
requires-python = ">=3.11"
version = "0.1.0"
[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""
FILES = {
    PYPROJECT: PROJECT.format(name="distilled-recommender", package="shop"),
    "shop/__init__.py": "VERSION = 1\n",
    CLIENT: PROJECT.format(name="distilled-recommender-client", package="client"),
    "clients/python/client/__init__.py": "",
    TYPESCRIPT: '{"version": "0.1.0"}',
    CHANGELOG: "# Changelog\n\n## 0.1.0 - 2026-11-29\n\n- The first.\n",
    UPGRADING: "# Upgrading\n\n## To 0.1.0\n\nNothing.\n",
    "docs/index.md": "# Shop\n",
    "mkdocs.yml": "site_name: Shop\n",
    ".gitignore": "/dist/\n",
    **dict.fromkeys(KUSTOMIZATIONS, 'images:\n  - {name: shop, newTag: "0.1.0"}\n'),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose commit has the tag v0.1.0."""
    root = tmp_path / "checkout"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    git(root, "tag", "v0.1.0")
    return root


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True)
