"""The cells of the notebook and the commands of its page, in their short form.

The long form, `python -m proofs notebook`, lets Jupyter run the notebook where the wheel and
RecTools are installed. Here all cells run in this process, the words of titles replace the LLM, the
example bundle replaces the exported one, and a program that returns a stored export of RecTools'
SASRec replaces RecTools' environment.
"""

import ast
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from distilled_recommender.app import main
from distilled_recommender.files import BUNDLE
from export.imports import foreign, make
from handbook.site.notebook import NOTEBOOK, Cell, page, read_cells
from proofs.fixtures.installed.documents import steps
from proofs.fixtures.places import ROOT
from proofs.fixtures.processes.waiting import free_port
from proofs.notebook import PAGE, PORT, shows_items, write_tables

EXPORTED = ROOT / "tests/export/imports/rectools"
RECTOOLS = "rectools/bin/python"
SHORTER = {
    'kind = "titles"\nlayers = 6': 'kind = "tf-idf"',
    "max_epochs = 10": "max_epochs = 1",
    "range(400)": "range(150)",
    "distill shop.toml": "distill shop.toml --workers 1",
}
EXPORT = "distilled-recommender export shop.toml"
# In place of RecTools' environment: `-W ignore PROGRAM CHECKPOINT OUT`.
STAND_IN = f"""
import csv, json, shutil, sys
import numpy as np
out = sys.argv[3]
with open("items.csv", newline="") as file:
    ids = sorted(row["item_id"] for row in csv.DictReader(file))
for name in ("encoder.onnx", "facts.json"):
    shutil.copy("{EXPORTED}/" + name, out)
np.save(out + "/vectors.npy", np.load("{EXPORTED}/vectors.npy")[: len(ids)])
with open(out + "/items.json", "w") as file:
    json.dump(ids, file)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder, empty but for the program in place of RecTools' environment."""
    folder = tmp_path_factory.mktemp("notebook")
    program = folder / RECTOOLS
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {folder}/stand_in.py "$@"\n')
    program.chmod(0o755)
    (folder / "stand_in.py").write_text(STAND_IN)
    shutil.copytree(ROOT / BUNDLE, folder / "work/shop/bundle")
    (folder / "model.ckpt").write_text("RecTools' own program would read it")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("NO_PROXY", "*")
        yield folder


@pytest.fixture(autouse=True)
def few_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares a bundle with its encoder after few histories; other tests compare after all."""
    monkeypatch.setattr(foreign, "bundle_of", partial(foreign.bundle_of, num_random=20))
    monkeypatch.setattr(make, "make_bundle", partial(make.make_bundle, num_random=20))


def shortened(code: str, port: str) -> str:
    for long, short in {**SHORTER, PORT: port}.items():
        code = code.replace(long, short)
    return code


def run_python(code: str, names: dict[str, Any]) -> Any:
    """Runs a cell; returns the value of its last line, as Jupyter shows it."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)  # noqa: S102 - our own notebook
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307


def run_command(line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "distilled-recommender"
    assert main(words) == 0, line


def test_the_shorter_settings_are_those_of_the_notebook() -> None:
    text = "\n".join(each.source for each in read_cells(NOTEBOOK.read_text(encoding="utf-8")))
    assert all(long in text for long in (*SHORTER, EXPORT, PORT, RECTOOLS))


@pytest.mark.slow
def test_the_cells_lead_from_data_frames_to_answers_of_two_models(folder: Path) -> None:
    port, shown = str(free_port()), []
    names: dict[str, Any] = {"__name__": "notebook"}
    cells = read_cells(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in (each for each in cells if each.is_code and "rectools" not in each.tags):
        code = shortened(cell.source, port)
        if cell.is_shell:
            for line in Cell(code).commands:
                if line != EXPORT:
                    run_command(line)
        else:
            shown.append(run_python(code, names))

    _, rectools = tables = [each for each in shown if "score" in getattr(each, "columns", ())]
    assert [len(each) for each in tables] == [3, 3]
    assert set(rectools["item_id"]) <= set(names["items"]["item_id"]) - {"cycling-0", "cycling-1"}
    assert [each for each in shown if isinstance(each, int)] == [0, 0]  # codes of the services
    manifest = json.loads((folder / "rectools-bundle/manifest.json").read_text(encoding="utf-8"))
    assert manifest["origin"] == "rectools"


@pytest.mark.slow
def test_the_page_makes_a_bundle_of_any_encoder_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXPORTED, tmp_path, dirs_exist_ok=True)
    shutil.copy("histories.csv", "interactions.csv")
    ids = json.loads(Path("items.json").read_text(encoding="utf-8"))
    Path("items.csv").write_text("item_id,title\n" + "".join(f"{each},{each}\n" for each in ids))
    write_tables(tmp_path)
    (block,) = (each for each in steps(PAGE.read_text("utf-8")) if "bundle make" in each.code)

    # The page's encoder has windows of 50 items, the stored one of 100.
    run_command(block.code.replace("\\\n", " ").replace("length 50", "length 100"))

    manifest = json.loads(Path("bundle/manifest.json").read_text(encoding="utf-8"))
    assert (manifest["origin"], manifest["num_items"]) == ("onnx", len(ids))


def test_the_notebook_is_stored_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_a_table_of_three_items_is_recognized_in_an_executed_cell() -> None:
    table = "  item_id title  score\n0  a  A  0.3\n1  b  B  0.2\n2  c  C  0.1"
    assert shows_items({"outputs": [{"data": {"text/plain": [table]}}]})
    assert not shows_items({"outputs": [{"data": {"text/plain": ["0"]}}, {"text": table}]})


def test_the_site_shows_commands_and_code_and_leads_to_the_notebook() -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "Text."]},
        {"cell_type": "code", "metadata": {}, "source": ["!ls\n", "!pwd"]},
        {"cell_type": "code", "metadata": {}, "source": ["a = 1\n", "!ls"]},
    ]
    assert page(json.dumps({"cells": cells})) == (
        "# Title\nText.\n\n[Download the notebook](notebook.ipynb).\n\n"
        "```sh\nls\npwd\n```\n\n```python\na = 1\n!ls\n```\n"
    )
