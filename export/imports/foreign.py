"""Makes a bundle from a model that RecTools or RecBole has trained.

distilled-recommender bundle import rectools model.ckpt BUNDLE --python .venv/rectools/bin/python

A separate program exports the model's encoder in the library's own environment, which needs the
packages `onnx` and `onnxscript` too. The library reads the checkpoint, which can run code that the
file contains: import only files that you trust.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import pandas as pd
from cyclopts import Parameter

from export.contract.bundle import Manifest
from export.figures import VALIDATION
from export.imports.make import (
    BundleFolder,
    Histories,
    Origin,
    Sources,
    Titles,
    Trained,
    make_bundle,
)
from export.parity.check import NUM_RANDOM_HISTORIES
from training.cli import say
from training.data.sources.items_table import MissingTitles
from training.data.sources.text_table import read_text_table
from training.data.sources.wrong_rows import refuse_rows
from training.errors import ConfigError, DataError

Library = Literal["rectools", "recbole"]
# Programs that run in the library's environment; they import nothing of this project.
PROGRAMS: Mapping[Library, Path] = {
    "rectools": Path(__file__).with_name("rectools_encoder.py"),
    "recbole": Path(__file__).with_name("recbole_encoder.py"),
}


@dataclass(frozen=True)
class Given:
    """The inputs of an import, besides the trained model.

    Attributes:
        items: file of the table of items; None: titles are the ids.
        histories: file of the table of interactions; None: the bundle has no figures.
        protocol: "validation" if the model was trained without the test interactions, "refit" if
            with them.
        missing_titles: for an item without a title, "refuse" raises a DataError, and "placeholder"
            makes a title from its id.
    """

    items: Path | None = None
    histories: Path | None = None
    protocol: str = VALIDATION
    missing_titles: MissingTitles = "refuse"


NOTHING = Given()


def command(
    library: Annotated[Library, Parameter(help="Library that trained the model.")],
    checkpoint: Annotated[Path, Parameter(help="The library's own file of the trained model.")],
    bundle: BundleFolder,
    /,
    *,
    python: Annotated[
        Path, Parameter(help="Python of an environment with the library, onnx and onnxscript.")
    ] = Path(sys.executable),
    items: Annotated[
        Path | None,
        Parameter(
            help="Table of items, CSV or Parquet: item_id, title, and attributes as further "
            "columns. Without it, titles are the ids."
        ),
    ] = None,
    histories: Histories = None,
    protocol: Trained = "validation",
    missing_titles: Titles = "refuse",
) -> None:
    """Make a bundle of a model that RecTools or RecBole has trained."""
    given = Given(items, histories, protocol, missing_titles)
    import_model(library, checkpoint, bundle, python, given)


def import_model(
    library: Library,
    checkpoint: Path,
    bundle: Path,
    python: Path,
    given: Given = NOTHING,
) -> Manifest:
    """Exports the encoder of `checkpoint` in the library's environment; makes a bundle from it.

    Items in the tables that the model does not know are left out, and so are their interactions.

    Args:
        library: library that trained the model.
        checkpoint: the library's file of the trained model.
        bundle: folder of the new bundle.
        python: Python interpreter of the library's environment.
        given: further inputs.

    Raises:
        ConfigError: the library's program fails; the message has the last line of its output.
        DataError: a table cannot be used.
        EncoderError: the exported encoder cannot be used.
        ParityError: a graph of the bundle ranks differently from the encoder.
        BundleError: the written bundle is invalid.
    """
    with TemporaryDirectory() as name:
        run_program(library, python, checkpoint, Path(name))
        return bundle_of(library, Path(name), bundle, given)


def run_program(library: Library, python: Path, checkpoint: Path, out: Path) -> None:
    """Runs the library's program, which writes a trained model as files into the folder `out`.

    The files are `encoder.onnx`, `vectors.npy`, `items.json` and `facts.json`.

    Args:
        library: library that trained the model.
        python: Python interpreter of the library's environment.
        checkpoint: the library's file of the trained model.
        out: an existing folder.

    Raises:
        ConfigError: the checkpoint or the interpreter is missing, or the program fails.
    """
    if not checkpoint.is_file():
        raise ConfigError(f"{checkpoint}: no such file")
    say(f"{checkpoint}: {library} exports its encoder in the environment of {python}")
    words = [str(python), "-W", "ignore", str(PROGRAMS[library]), str(checkpoint), str(out)]
    try:
        # The user has named the interpreter and the file. RecBole's file contains its settings as a
        # Python object, which torch loads only with this variable.
        done = subprocess.run(  # noqa: S603
            words,
            env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ConfigError(f"--python {python}: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ConfigError(
            f"{checkpoint}: {python} cannot export it: {lines[-1]}; it needs the packages "
            f"{library}, onnx and onnxscript (--python)"
        )


def bundle_of(
    library: Library,
    folder: Path,
    bundle: Path,
    given: Given = NOTHING,
    *,
    num_random: int = NUM_RANDOM_HISTORIES,
) -> Manifest:
    """Makes a bundle from the files that `run_program` has written; returns its manifest.

    Args:
        library: library that trained the model.
        folder: folder of these files; tables for the bundle are written into it too.
        bundle: folder of the new bundle.
        given: further inputs.
        num_random: number of random histories after which the bundle's graphs are compared with the
            encoder, besides edge cases.

    Raises:
        DataError: a table cannot be used.
        EncoderError: the exported encoder cannot be used.
        ParityError: a graph of the bundle ranks differently from the encoder.
        BundleError: the written bundle is invalid.
    """
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    item_ids = pd.Series(json.loads((folder / "items.json").read_text(encoding="utf-8")))
    sources = Sources(
        encoder=folder / "encoder.onnx",
        items=_items_of(item_ids, given.items, folder / "items.csv"),
        vectors=folder / "vectors.npy",
        histories=given.histories and _known(given.histories, item_ids, folder / "histories.csv"),
        max_history_length=facts["max_history_length"],
        missing_titles=given.missing_titles,
    )
    origin = Origin(library, facts["model"], given.protocol, {"trained_by": facts["program"]})
    return make_bundle(sources, origin, bundle, num_random=num_random)


def _items_of(item_ids: "pd.Series[str]", path: Path | None, out: Path) -> Path:
    """Writes a table of the items `item_ids`, in this order, to the file `out`; returns `out`.

    Titles and attributes come from the table at `path`. If `path` is None, titles are the ids.

    Raises:
        DataError: the table at `path` lacks an item of the model, or has an item twice.
    """
    if path is None:
        table = pd.DataFrame({"item_id": item_ids, "title": item_ids})
    else:
        given = read_text_table(path, ["item_id", "title"])
        refuse_rows(
            path, "item_id occurs more than once", given["item_id"], given["item_id"].duplicated()
        )
        unlisted = item_ids[~item_ids.isin(given["item_id"])]
        if len(unlisted):
            raise DataError(
                f"{path}: {len(unlisted):,} items of the model are missing, such as "
                f"{unlisted.iloc[0]!r}; add a row for each"
            )
        table = given.set_index("item_id").loc[item_ids.tolist()].reset_index()
    table.to_csv(out, index=False)
    return out


def _known(path: Path, item_ids: "pd.Series[str]", out: Path) -> Path:
    """Copies the interactions with items that the model knows from `path` to `out`; returns `out`.

    `item_ids`: ids of these items.
    """
    table = read_text_table(path, ["user_id", "item_id"])
    is_known = table["item_id"].isin(item_ids)
    if not is_known.all():
        say(
            f"{path}: {(~is_known).sum():,} interactions with items that the model does not know "
            "are left out"
        )
    table[is_known].to_csv(out, index=False)
    return out
