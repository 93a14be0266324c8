"""The lock files: exact versions of what pyproject.toml asks for, for any pip configuration."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS_OF = {"service": ["trace"], "demo": ["demo"], "dev": ["train", "bench", "trace", "dev"]}


def pins(name: str) -> dict[str, Requirement]:
    lines = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in requirements}


@pytest.mark.parametrize("name", list(EXTRAS_OF))
def test_every_dependency_is_locked_at_a_version_that_pyproject_allows(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = project["name"]
    lines = [*project["dependencies"]]
    for extra in EXTRAS_OF[name]:
        lines += project["optional-dependencies"][extra]
    needed = [Requirement(line) for line in lines if not line.startswith(own)]

    locked = pins(name)
    assert len(needed) > 10
    for each in needed:
        (pin,) = locked[canonicalize_name(each.name)].specifier
        assert pin.operator == "=="
        assert each.specifier.contains(pin.version, prereleases=True), each


@pytest.mark.parametrize("name", list(EXTRAS_OF))
def test_locks_name_no_host_no_hash_and_no_build_of_one_platform(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")

    assert "://" not in text
    assert "--" not in text
    assert not re.search(r"==[^ ;]*\+", text)


def test_all_environments_have_the_same_versions() -> None:
    dev = {name: str(pin.specifier) for name, pin in pins("dev").items()}

    for name in ("demo", "service"):
        for package, pin in pins(name).items():
            assert dev[package] == str(pin.specifier), package
