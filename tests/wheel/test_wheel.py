"""The wheel: what it carries, what it leaves out and what its metadata say."""

import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from distilled_recommender.files import BUNDLE, KNOWLEDGE, MOVIELENS, TERMS

ROOT = Path(__file__).parents[2]
PACKAGES = {"distilled_recommender", "export", "service", "training"}
MOST_BYTES = 20 * 2**20


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    folder = tmp_path_factory.mktemp("dist")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    with ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def names(wheel: ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if not name.endswith("/")}


def dist_info(wheel: ZipFile, name: str) -> str:
    (path,) = (each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def metadata(wheel: ZipFile) -> Message:
    return Parser().parsestr(dist_info(wheel, "METADATA"))


def test_it_carries_the_packages_and_no_tests_or_benchmarks(names: set[str]) -> None:
    folders = {name.partition("/")[0] for name in names}

    assert {each for each in folders if not each.endswith(".dist-info")} == PACKAGES


def test_it_carries_every_module_of_the_checkout(names: set[str]) -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }

    assert len(modules) > 100
    assert modules <= names


def test_it_carries_the_page_and_the_marks_of_typed_packages(names: set[str]) -> None:
    assert "service/static/index.html" in names
    assert {f"{each}/py.typed" for each in PACKAGES} <= names


def test_it_carries_what_the_demo_needs_with_the_terms_of_movielens(names: set[str]) -> None:
    carried = {
        name.removeprefix("distilled_recommender/files/")
        for name in names
        if name.startswith("distilled_recommender/files/")
    }
    needed = {
        path.relative_to(ROOT).as_posix()
        for folder in (BUNDLE, KNOWLEDGE)
        for path in (ROOT / folder).iterdir()
    }

    assert carried == needed | {MOVIELENS.as_posix(), TERMS.as_posix()}


def test_it_is_small(wheel: ZipFile) -> None:
    assert wheel.filename
    assert Path(wheel.filename).stat().st_size < MOST_BYTES


def test_it_installs_the_command(wheel: ZipFile) -> None:
    entries = ConfigParser()
    entries.read_string(dist_info(wheel, "entry_points.txt"))

    assert dict(entries["console_scripts"]) == {
        "distilled-recommender": "distilled_recommender.__main__:run"
    }


def test_its_base_needs_no_torch_and_its_extras_do(wheel: ZipFile) -> None:
    requirements = metadata(wheel).get_all("Requires-Dist") or []
    base = [each for each in requirements if "extra ==" not in each]

    assert any(each.startswith("onnxruntime") for each in base)
    assert not any(each.startswith(("torch", "transformers", "pandas")) for each in base)
    assert any(each.startswith("torch") and "extra == 'demo'" in each for each in requirements)


def test_its_metadata_name_the_pythons_and_both_licenses(wheel: ZipFile) -> None:
    facts = metadata(wheel)

    assert facts["Requires-Python"] == "<3.14,>=3.11"
    assert facts.get_all("License-File") == ["LICENSE", "assets/movielens/TERMS.txt"]
