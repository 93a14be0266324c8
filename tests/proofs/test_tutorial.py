"""Does what the tutorial says, in its short form: with the wheel, in an empty folder.

The long form, `python -m proofs tutorial`, also installs the wheel in a new environment, lets the
LLM read the titles, evaluates and exports. Here the words of titles replace the LLM, the students
train for few epochs, and the example bundle of the wheel is served. A made bundle, which ranks the
shop's items in a random order, is the champion that clicks improve on.
"""

import csv
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import onnx
import pytest

from distilled_recommender.files import BUNDLE
from distilled_recommender.retrain.runs import RunTable
from export.contract.bundle import Item, save_bundle
from proofs.fixtures.installed.documents import Reader, Step, divided, steps
from proofs.fixtures.installed.wheel import environment
from proofs.fixtures.places import ROOT
from proofs.tutorial import TUTORIAL, has_same_shape
from tests.service.conftest import ring_graph

SHORTER = {
    'kind = "titles"\nlayers = 6': 'kind = "tf-idf"',
    "max_epochs = 10": "max_epochs = 4",
    "distill shop.toml": "distill shop.toml --workers 1",
    "retrain live.toml": "retrain live.toml --workers 1",
    "sleep 12": "sleep 4",
}
SEALED_LATE, SEALED_SOON = "_SECONDS_TO_SEAL = 10.0", "_SECONDS_TO_SEAL = 0.5"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader with the wheel's packages, instead of those of the checkout, in an empty folder."""
    folder, empty = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("empty")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "packages")
    see_clicks_soon(folder / "packages")
    shutil.copytree(
        folder / "packages/distilled_recommender/files" / BUNDLE, empty / "work/shop/bundle"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Reader(empty, {**environment(), "PATH": path, "PYTHONPATH": str(folder / "packages")})


def see_clicks_soon(packages: Path) -> None:
    """Lets the collector see clicks after half a second, so that the short form need not wait."""
    log = packages / "service/stores/event_log/disk_log.py"
    code = log.read_text(encoding="utf-8")
    assert SEALED_LATE in code
    log.write_text(code.replace(SEALED_LATE, SEALED_SOON), encoding="utf-8")


def chapter(number: int) -> list[Step]:
    return [each for each in steps(TUTORIAL.read_text(encoding="utf-8")) if each.chapter == number]


def shortened(code: str) -> str:
    for long, short in SHORTER.items():
        code = code.replace(long, short)
    return code


def test_the_shorter_settings_are_those_of_the_tutorial() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    assert all(long in text for long in SHORTER)


def test_the_evaluation_is_shown_with_all_rankers_and_the_verdict_that_the_text_discusses() -> None:
    (step,) = chapter(5)
    *lines, verdict = step.shown.splitlines()
    table = "\n".join(lines)
    for ranker in ("popularity", "order-aware kNN", "SASRec CE", "SASRec DLLM2Rec"):
        assert ranker in table
    assert "above popularity" in verdict
    assert "not shown to differ from" in verdict


@pytest.mark.slow
def test_the_commands_of_the_tutorial_lead_from_two_files_to_two_students(reader: Reader) -> None:
    for number in (2, 3, 4):
        (step,) = chapter(number)
        printed = reader.run(shortened(step.code))
        assert has_same_shape(step.shown.replace("titles:", "tf-idf:"), printed), printed


@contextmanager
def serving_as_in(chapter: list[Step], reader: Reader) -> Iterator[Reader]:
    (step,) = (each for each in chapter if each.is_service)
    before, serve = divided(step.code)
    reader.run(before)
    with reader.serving(serve):
        yield reader


@pytest.fixture(scope="module")
def serving(reader: Reader) -> Iterator[Reader]:
    with serving_as_in(chapter(6), reader) as reader:
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


@pytest.mark.slow
def test_clicks_make_the_next_model_and_the_figures_show_both(reader: Reader) -> None:
    reader.run(chapter(2)[0].code)
    reader.run(divided(next(each for each in chapter(6) if each.is_service).code)[0])
    save_random_bundle(reader.folder)
    with serving_as_in(chapter(7), reader.at_another_port()) as shop:
        for step in (*chapter(7)[1:], *chapter(8), *chapter(9)):
            printed = shop.run(shortened(step.code))
            if step.shown:
                assert has_same_shape(step.shown, printed), printed

    (run,) = RunTable(shop.folder / "work/live/retrain").read()
    assert run.decision == "published"
    assert run.bundle != run.champion
    assert f'"model_version": "{run.champion}"' in printed
    assert f'"model_version": "{run.bundle}"' in printed


def save_random_bundle(folder: Path) -> None:
    """Replaces the bundle of the shop by one that ranks its items in a random order."""
    with (folder / "items.csv").open(newline="") as file:
        items = [Item(row["item_id"], row["title"]) for row in csv.DictReader(file)]
    random.Random(0).shuffle(items)  # noqa: S311 - no secret
    graph = folder / "random.onnx"
    onnx.save(ring_graph(len(items)), graph)
    save_bundle(
        folder / "work/shop/bundle",
        graph,
        items,
        student="random",
        max_history_length=4,
        metrics={},
        parity_error=0.0,
        provenance={"made_by": "tests"},
    )
