"""Checks that all places of the repository that name the version name the same one."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

PYPROJECT = "pyproject.toml"
CLIENT = "clients/python/pyproject.toml"
TYPESCRIPT = "clients/typescript/package.json"
CHANGELOG = "CHANGELOG.md"
UPGRADING = "docs/upgrading.md"
KUSTOMIZATIONS = tuple(
    f"deploy/{name}/kustomization.yaml" for name in ("kubernetes", "teaching", "restoring")
)

_RELEASE = re.compile(r"\d+\.\d+\.\d+")
_HEADING = re.compile(r"^## (?P<version>\S+)(?: - (?P<date>\S+))?$", re.MULTILINE)


def version_of(root: Path) -> str:
    """Returns the version of the package in the checkout `root`."""
    return _project_version(root / PYPROJECT)


def problems(root: Path) -> list[str]:
    """Returns what keeps the checkout `root` from being released, a sentence for each problem."""
    version = version_of(root)
    if not _RELEASE.fullmatch(version):
        return [f"{PYPROJECT}: version {version} is no release; set it to a version such as 0.1.0"]
    others = [
        f"{place}: version {found}, but {PYPROJECT} has {version}; set it to {version}"
        for place, found in _other_versions(root).items()
        if found != version
    ]
    return [*others, *_changelog_problems(root, version), *_upgrading_problems(root, version)]


def _other_versions(root: Path) -> Mapping[str, str]:
    """Returns the versions outside of the package's own project file, by place."""
    package = json.loads((root / TYPESCRIPT).read_text(encoding="utf-8"))
    found = {CLIENT: _project_version(root / CLIENT), TYPESCRIPT: package["version"]}
    for path in KUSTOMIZATIONS:
        images: list[Any] = yaml.safe_load((root / path).read_text(encoding="utf-8"))["images"]
        found |= {f"{path}, image {each['name']}": each["newTag"] for each in images}
    return found


def _changelog_problems(root: Path, version: str) -> Iterator[str]:
    """Yields what is wrong with the newest heading of the changelog."""
    heading = _HEADING.search((root / CHANGELOG).read_text(encoding="utf-8"))
    found = heading[0] if heading else "no heading"
    if not heading or heading["version"] != version or not _is_date(heading["date"]):
        yield (
            f"{CHANGELOG}: {found!r} comes first; it must be '## {version} - YYYY-MM-DD', "
            "with the date of the release"
        )


def _upgrading_problems(root: Path, version: str) -> Iterator[str]:
    """Yields a problem if the notes on upgrading have no chapter for the version."""
    text = (root / UPGRADING).read_text(encoding="utf-8")
    if not re.search(rf"^## To {re.escape(version)}\b", text, re.MULTILINE):
        yield f"{UPGRADING}: no chapter '## To {version}'; write what users have to do"


def _project_version(path: Path) -> str:
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    return version


def _is_date(text: str | None) -> bool:
    try:
        return text is not None and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
