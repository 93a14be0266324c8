"""Proves that imported models answer as their own libraries do, on 1,000 histories of MovieLens.

Each library trains its model in an environment of its own, with its defaults, and is asked for its
top 20. One command imports the model, another one serves it, and the service is asked the same over
HTTP. Lists are compared by the rule of `proofs.fixtures.agreement`.

python -m proofs imports --rectools .venv/witness/bin/python --recbole .venv/recbole/bin/python

`make imports` makes both environments, with these packages, and runs the proof:

    rectools[torch]>=0.19,<0.20  onnx  onnxscript
    recbole==1.2.1  numpy<2  pandas<2.3  setuptools<80  onnx

RecBole's default is up to 300 epochs, ended by ten without a better validation: hours of a core on
all of MovieLens. `--last N` trains every model on the last N interactions of each user alone, which
takes minutes with all defaults kept; `--recbole-epochs` sets another number of epochs. A model in
the folder `--work` that was trained with the same library, settings and data is not trained again,
but asked and imported anew (`benchmarks.rivals.kept_models`). So a second run measures without the
training beside it.
"""

import csv
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
from cyclopts import Parameter

from export.imports.foreign import Library
from proofs.fixtures.agreement import TIE, Agreement, TopList
from proofs.fixtures.choices import each_of
from proofs.fixtures.installed.wheel import environment
from proofs.fixtures.processes.waiting import free_port, wait_until_ready
from proofs.record import Figure
from training.data.raw import RawData
from training.data.sources.movielens import read_movielens
from training.progress import ProgressBar

ROOT = Path(__file__).parents[2]
NUM_HISTORIES = 1_000
LONGEST = 500  # items of a history, fewer than a request may have
LIST_LENGTH = 20
NUM_TIMED = 200  # first histories, whose answers are timed
COLUMNS = ("user_id", "item_id", "position")

Rows = list[tuple[str, str, int]]


@dataclass(frozen=True)
class Model:
    """A model to train and import: its library, its name there, and its checkpoint."""

    library: Library
    kind: str
    checkpoint: str


MODELS: Mapping[str, Model] = {
    "RecTools SASRec": Model("rectools", "SASRec", "model.ckpt"),
    "RecTools eSASRec": Model("rectools", "eSASRec", "model.ckpt"),
    "RecTools BERT4Rec": Model("rectools", "BERT4Rec", "model.ckpt"),
    "RecBole SASRec": Model("recbole", "SASRec", "model.pth"),
    "RecBole GRU4Rec": Model("recbole", "GRU4Rec", "model.pth"),
}


@dataclass(frozen=True)
class Answers:
    """Top lists after histories, in the order of the histories.

    Attributes:
        users: `[histories]`, names of the histories.
        items: `[histories, LIST_LENGTH]`, item ids, best first.
        scores: the scores of `items`.
        milliseconds: `[NUM_TIMED]`, the time of one call for one of the first histories.
        epochs: epochs that the library trained; None if it does not tell.
    """

    users: np.ndarray[Any, np.dtype[np.str_]]
    items: np.ndarray[Any, np.dtype[np.str_]]
    scores: np.ndarray[Any, np.dtype[np.float64]]
    milliseconds: np.ndarray[Any, np.dtype[np.float64]]
    epochs: int | None = None


def prove(
    *,
    rectools: Annotated[Path, Parameter(help="Python of an environment with RecTools.")] = Path(
        ".venv/witness/bin/python"
    ),
    recbole: Annotated[Path, Parameter(help="Python of an environment with RecBole.")] = Path(
        ".venv/recbole/bin/python"
    ),
    work: Annotated[Path, Parameter(help="Folder of the trained models.")] = Path("work/imports"),
    recbole_epochs: Annotated[
        int | None, Parameter(help="Epochs of RecBole, instead of its default.")
    ] = None,
    last: Annotated[
        int | None, Parameter(help="Interactions of each user to train on, the last; or all.")
    ] = None,
    models: Annotated[
        tuple[str, ...],
        Parameter(
            consume_multiple=1,
            help="Models to import; all by default.",
            validator=each_of(MODELS),
        ),
    ] = tuple(MODELS),
) -> Iterator[Figure]:
    """Import models that other libraries trained, and compare served with original answers."""
    pythons = {"rectools": rectools.absolute(), "recbole": recbole.absolute()}
    options = {"recbole": [] if recbole_epochs is None else ["--epochs", str(recbole_epochs)]}
    work = work.absolute()
    histories = write_data(read_movielens(), work, last)
    for name in models:
        model, folder = MODELS[name], work / name.replace(" ", "-").lower()
        python = pythons[model.library]
        train_and_ask(model, python, work, folder, options.get(model.library, []))
        import_by_command(model, python, work, folder)
        answers = read_answers(folder / "answers.npz")
        yield from figures(name, answers, served(folder / "bundle", histories))


def write_data(raw: RawData, folder: Path, last: int | None = None) -> dict[str, list[str]]:
    """Writes the tables that the libraries read; returns the histories, item ids by user.

    Training has all interactions but each user's last, or the `last` ones of these. Of each user,
    two histories are asked: all interactions but the last, and a random part from their beginning.
    They have only items of the training, for others are unknown to a library.
    """
    folder.mkdir(parents=True, exist_ok=True)
    indices = np.split(raw.item_indices, raw.user_offsets[1:-1])
    users = {
        user_id: [raw.catalog.item_ids[index - 1] for index in rows[:-1]]
        for user_id, rows in zip(raw.user_ids, indices, strict=True)
    }
    training = [row for row in _rows(users) if last is None or row[2] >= len(users[row[0]]) - last]
    histories = _asked(users, known={item_id for _, item_id, _ in training})
    _write(folder / "training.csv", COLUMNS, training)
    _write(folder / "histories.csv", COLUMNS, _rows(histories))
    titles = zip(raw.catalog.item_ids, raw.catalog.titles, strict=True)
    _write(folder / "items.csv", ("item_id", "title"), titles)
    return histories


def _asked(users: Mapping[str, Sequence[str]], known: Set[str]) -> dict[str, list[str]]:
    """Returns the first histories to ask: of each user, the whole and a random beginning."""
    random = np.random.default_rng(0)
    cuts = (
        items[:length]
        for items in users.values()
        for length in (len(items), int(random.integers(1, len(items))))
    )
    asked = ([item_id for item_id in items if item_id in known][:LONGEST] for items in cuts)
    return {
        f"h{place}": items for place, items in enumerate(islice(filter(None, asked), NUM_HISTORIES))
    }


def _rows(users: Mapping[str, Sequence[str]]) -> Rows:
    return [
        (user_id, item_id, place)
        for user_id, items in users.items()
        for place, item_id in enumerate(items)
    ]


def _write(path: Path, header: Sequence[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def train_and_ask(
    model: Model, python: Path, data: Path, folder: Path, options: Sequence[str]
) -> None:
    """Trains the model in its library's environment, unless it is kept there, and asks it."""
    program = f"benchmarks.rivals.{model.library}_trained"
    files = [str(data / "training.csv"), str(data / "histories.csv"), str(folder)]
    words = ["-W", "ignore", "-m", program, *files, "--model", model.kind, *options]
    subprocess.run([str(python), *words], cwd=data, env=of_checkout(), check=True)


def import_by_command(model: Model, python: Path, data: Path, folder: Path) -> None:
    """Makes the folder `bundle` from the model's checkpoint by the command of the documents."""
    words = ["bundle", "import", model.library, str(folder / model.checkpoint)]
    options = ["--python", str(python), "--items", str(data / "items.csv")]
    command = [sys.executable, "-m", "distilled_recommender", *words, str(folder / "bundle")]
    subprocess.run([*command, *options], cwd=data, env=of_checkout(), check=True)


def of_checkout() -> dict[str, str]:
    """Returns the environment variables of programs that import this checkout."""
    return environment() | {"PYTHONPATH": str(ROOT)}


def read_answers(path: Path) -> Answers:
    """Reads the answers that a library's program has written."""
    with np.load(path, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in ("users", "items", "scores", "milliseconds")}
        return Answers(**values, epochs=int(arrays["epochs"]) if "epochs" in arrays else None)


def served(bundle: Path, histories: Mapping[str, Sequence[str]]) -> Answers:
    """Serves the bundle with one worker and asks it for the top list after each history."""
    with serving(bundle) as url, ProgressBar("asking", len(histories), "history") as bar:
        return ask(url, histories, bar)


def ask(url: str, histories: Mapping[str, Sequence[str]], bar: ProgressBar) -> Answers:
    """Asks the service at `url` for the top list after each history, one request at a time."""
    items, scores, milliseconds = [], [], []
    with httpx.Client(trust_env=False, base_url=url) as client:
        for history in histories.values():
            question = {"history": history, "k": LIST_LENGTH}
            began = time.perf_counter()
            answer = client.post("/v1/recommendations", json=question)
            milliseconds.append(1e3 * (time.perf_counter() - began))
            found = answer.raise_for_status().json()["items"]
            items.append([each["item_id"] for each in found])
            scores.append([each["score"] for each in found])
            bar.advance()
    timed = np.array(milliseconds[:NUM_TIMED])
    return Answers(np.array([*histories]), np.array(items), np.array(scores), timed)


@contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """Runs `serve` for the duration of a `with` block; yields its base URL."""
    port = free_port()
    words = ["-m", "distilled_recommender", "serve", str(bundle), "--port", str(port)]
    process = subprocess.Popen([sys.executable, *words], env=of_checkout())
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def figures(name: str, library: Answers, service: Answers) -> Iterator[Figure]:
    """Compares the service's answers with the library's; `TIE` is the tolerance of scores.

    Raises:
        ValueError: the answers are not of the same histories.
    """
    if not np.array_equal(library.users, service.users):
        raise ValueError(f"{name}: the library and the service answered other histories")
    agreement = Agreement()
    pairs = zip(library.items, library.scores, service.items, service.scores, strict=True)
    for items, scores, its_items, its_scores in pairs:
        agreement.add(TopList(items, scores), TopList(its_items, its_scores), TIE)
    if library.epochs is not None:
        yield Figure(f"{name}: epochs, up to the best one", "epochs", library.epochs)
    yield Figure(f"{name}: histories", "histories", agreement.asked)
    others, ties = agreement.others, agreement.ties
    yield Figure(f"{name}: top 20 differs but for ties", "histories", others, at_most=0)
    yield Figure(f"{name}: ties in another order or at the cut", "histories", ties)
    gap = agreement.difference
    yield Figure(f"{name}: largest difference of an item's score", "", gap, at_most=TIE)
    near = float((-np.diff(library.scores, axis=1) <= TIE).mean())
    yield Figure(f"{name}: neighbours in the library's lists that are ties", "share", near)
    for who, answers in (("the library, one user", library), ("REST", service)):
        for what, share in (("median", 50), ("p95", 95)):
            value = float(np.percentile(answers.milliseconds, share))
            yield Figure(f"{name}: {who}, {what}", "ms", value)
