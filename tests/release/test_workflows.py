"""Workflow files are valid, and run what a developer runs: targets of the Makefile."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
PROGRAMS = Path(sys.executable).parent
TARGETS = {
    "test.yml": {"make test", "make compose-test"},
    "release.yml": {"make test", "make release"},
}


def steps(name: str) -> list[dict[str, Any]]:
    """Returns the steps of all jobs of a workflow."""
    jobs = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def run(program: str, *arguments: str) -> None:
    """Runs a program of the developers' environment, which must succeed."""
    subprocess.run([str(PROGRAMS / program), *arguments], check=True, capture_output=True)


def test_every_workflow_is_valid_and_has_no_unsafe_step() -> None:
    files = sorted(FOLDER.iterdir())
    assert {each.name for each in files} == TARGETS.keys()
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, files))
    run("zizmor", "--offline", "--no-progress", "--quiet", str(FOLDER))


@pytest.mark.parametrize("name", TARGETS)
def test_a_workflow_runs_targets_of_the_makefile(name: str) -> None:
    targets = {step["run"] for step in steps(name) if step.get("run", "").startswith("make ")}
    assert targets == TARGETS[name]
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {each.removeprefix("make ") for each in targets} <= {*known}


@pytest.mark.parametrize("name", TARGETS)
def test_a_workflow_uses_actions_by_their_hash_and_keeps_no_credentials(name: str) -> None:
    used = [step for step in steps(name) if "uses" in step]
    assert used
    for step in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_python_writes_bytecode_under_make_whatever_the_environment_says() -> None:
    """Without it, every process that a test starts compiles torch and all else anew."""
    target = "--eval=shown: ; @printenv PYTHONDONTWRITEBYTECODE"
    command = ["make", "--silent", "--directory", str(ROOT), target, "shown"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "\n"  # to Python, an empty variable is an unset one
