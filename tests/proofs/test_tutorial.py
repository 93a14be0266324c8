"""Does what the tutorial says, in its short form: with the wheel, in an empty folder.

The long form, `python -m proofs tutorial`, also installs the wheel in a new environment, lets the
LLM read the titles, evaluates and exports. Here the words of titles replace the LLM, the students
train for one epoch, and the example bundle of the wheel is served.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from distilled_recommender.files import BUNDLE
from proofs.tutorial import TUTORIAL, Reader, Step, has_same_shape, steps
from proofs.wheel import ROOT, environment

SHORTER = {'kind = "titles"\nlayers = 6': 'kind = "tf-idf"', "max_epochs = 10": "max_epochs = 1"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader with the wheel's packages, instead of those of the checkout, in an empty folder."""
    folder, empty = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("empty")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "packages")
    shutil.copytree(
        folder / "packages/distilled_recommender/files" / BUNDLE, empty / "work/shop/bundle"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Reader(empty, {**environment(), "PATH": path, "PYTHONPATH": str(folder / "packages")})


def chapter(number: int) -> list[Step]:
    return [each for each in steps(TUTORIAL.read_text(encoding="utf-8")) if each.chapter == number]


def shortened(code: str) -> str:
    for long, short in SHORTER.items():
        code = code.replace(long, short)
    return code


def test_the_shorter_settings_are_those_of_the_tutorial() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    assert all(long in text for long in SHORTER)


@pytest.mark.slow
def test_the_commands_of_the_tutorial_lead_from_two_files_to_two_students(reader: Reader) -> None:
    for number in (2, 3, 4):
        (step,) = chapter(number)
        printed = reader.run(shortened(step.code))
        assert has_same_shape(step.shown.replace("titles:", "tf-idf:"), printed), printed


@pytest.fixture(scope="module")
def serving(reader: Reader) -> Iterator[Reader]:
    (step,) = (each for each in chapter(6) if each.is_service)
    *key, serve = step.code.splitlines(keepends=True)
    reader.run("".join(key))
    with reader.serving(serve):
        yield reader


def test_the_requests_of_the_tutorial_are_answered_as_shown(serving: Reader) -> None:
    requests = [each for each in chapter(6) if each.code.startswith("curl ")]
    assert len(requests) == 2
    for each in requests:
        assert has_same_shape(each.shown, serving.run(each.code))


def test_a_request_without_the_key_is_answered_401(serving: Reader) -> None:
    status = serving.run(
        "curl --output /dev/null --write-out '%{http_code}' localhost:8000/v1/items"
    )
    assert status == "401"


def test_shapes_differ_if_a_key_or_a_word_does() -> None:
    assert has_same_shape('{"a": [{"b": 1}]}', '{"a": [{"b": 2}]}')
    assert not has_same_shape('{"a": [{"b": 1}]}', '{"a": [{"c": 1}]}')
    assert has_same_shape("kNN  0.1\n", "first\nkNN 0.25\n")
    assert not has_same_shape("kNN  0.1\n", "kNN none\n")
