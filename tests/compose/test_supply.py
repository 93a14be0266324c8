"""Tests of what the images are made of: locked wheels, and a list of all packages in each."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.compose.conftest import ROOT

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

PYTHON_PACKAGES = """
import importlib.metadata as m
print("\\n".join(f"{each.name}=={each.version}" for each in m.distributions()))
"""
LISTS = {"service": "service", "redis": "redis", "training": "training", "teacher": "training"}


def in_image(stack: "Stack", image: str, *command: str) -> list[str]:
    """Runs a command in an image of the stack; returns the lines of its output."""
    run = ("docker", "run", "--rm", "--entrypoint", command[0])
    return stack.run(*run, f"distilled-recommender/{image}:test", *command[1:]).splitlines()


def listed(stack: "Stack", image: str) -> dict[str, Any]:
    """Returns the list of packages that lies in an image."""
    lines = in_image(stack, image, "cat", f"/usr/share/sbom/{LISTS[image]}.cdx.json")
    found: dict[str, Any] = json.loads("\n".join(lines))
    return found


def components(document: dict[str, Any], kind: str) -> set[str]:
    return {
        f"{each['name']}=={each['version']}"
        for each in document["components"]
        if each["purl"].startswith(f"pkg:{kind}/")
    }


@pytest.mark.parametrize("image", list(LISTS))
def test_every_image_has_a_cyclonedx_list_of_exactly_its_packages(
    stack: "Stack", image: str
) -> None:
    stack.build("train", "teacher")
    document = listed(stack, image)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    debian = in_image(
        stack, image, "dpkg-query", "--show", "--showformat", "${Package}==${Version}\n"
    )
    assert len(debian) > 50
    assert components(document, "deb") == set(debian)
    python = [] if image == "redis" else in_image(stack, image, "python", "-c", PYTHON_PACKAGES)
    assert components(document, "pypi") == set(python)
    assert python or document["metadata"]["component"]["version"].startswith("8.")


def test_a_package_with_another_hash_than_the_locked_one_ends_the_build(
    stack: "Stack", tmp_path: Path
) -> None:
    names = stack.run("git", "ls-files", "docker", "locks", ".dockerignore").split()
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    lock = tmp_path / "locks/service.txt"
    package, hashes = r"orjson==\S+ ", r"(?: *\\\n +--hash=sha256:[0-9a-f]{64})+"
    zeros = r"\1--hash=sha256:" + "0" * 64
    changed, count = re.subn(f"({package}){hashes}", zeros, lock.read_text(encoding="utf-8"))
    assert count == 1
    lock.write_text(changed, encoding="utf-8")
    build = (
        "docker",
        "build",
        "--file",
        "docker/service.Dockerfile",
        "--target",
        "environment",
        ".",
    )
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "orjson" in done.stderr
