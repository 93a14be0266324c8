"""Proves that imported models answer as their own libraries do, on 1,000 histories of MovieLens.

Each library trains its model in an environment of its own and is asked for its top 20. The model is
then imported and served, and the service is asked the same over HTTP.

python -m proofs imports --rectools .venv/witness/bin/python --recbole .venv/recbole/bin/python

The environments need these packages:

    rectools[torch]>=0.19,<0.20  onnx  onnxscript
    recbole==1.2.1  numpy<2  pandas<2.3  setuptools<80  onnx

RecTools trains with all its defaults.
RecBole trains one epoch, since its default of 300 takes hours on a CPU. Trained models are kept in
the folder `--work` and used again.
"""

import csv
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
from cyclopts import Parameter

from export.imports.foreign import Given, Library, import_model
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
TIE = 1e-5
NUM_TIMED = 50
COLUMNS = ("user_id", "item_id", "position")

Rows = list[tuple[str, str, int]]


@dataclass(frozen=True)
class Model:
    """A model to train and import: its library, the program that trains it, and its checkpoint."""

    library: Library
    program: str
    checkpoint: str
    options: tuple[str, ...] = ()


MODELS: Mapping[str, Model] = {
    "RecTools SASRec": Model("rectools", "rectools_trained", "model.ckpt"),
    "RecBole SASRec": Model(
        "recbole", "recbole_trained", "model.pth", ("--model", "SASRec", "--epochs", "1")
    ),
    "RecBole GRU4Rec": Model(
        "recbole", "recbole_trained", "model.pth", ("--model", "GRU4Rec", "--epochs", "1")
    ),
}


@dataclass(frozen=True)
class Answers:
    """Top lists after histories.

    Attributes:
        items: `[histories, LIST_LENGTH]`, item ids, best first.
        scores: the scores of `items`.
        milliseconds: `[calls]`, the time of one call for one history.
    """

    items: np.ndarray[Any, np.dtype[np.str_]]
    scores: np.ndarray[Any, np.dtype[np.float64]]
    milliseconds: np.ndarray[Any, np.dtype[np.float64]]


def prove(
    *,
    rectools: Annotated[Path, Parameter(help="Python of an environment with RecTools.")] = Path(
        ".venv/witness/bin/python"
    ),
    recbole: Annotated[Path, Parameter(help="Python of an environment with RecBole.")] = Path(
        ".venv/recbole/bin/python"
    ),
    work: Annotated[Path, Parameter(help="Folder of the trained models.")] = Path("work/imports"),
    models: Annotated[
        tuple[str, ...], Parameter(consume_multiple=1, help="Models to import; all by default.")
    ] = tuple(MODELS),
) -> Iterator[Figure]:
    """Import models that other libraries trained, and compare served with original answers."""
    pythons = {"rectools": rectools.absolute(), "recbole": recbole.absolute()}
    work = work.absolute()
    histories = write_data(read_movielens(), work)
    for name in models:
        model, folder = MODELS[name], work / name.replace(" ", "-").lower()
        train(model, pythons[model.library], work, folder)
        bundle = folder / "bundle"
        import_model(
            model.library,
            folder / model.checkpoint,
            bundle,
            pythons[model.library],
            Given(items=work / "items.csv"),
        )
        yield from figures(name, read_answers(folder), served(bundle, histories))


def write_data(raw: RawData, folder: Path) -> dict[str, list[str]]:
    """Writes the tables that the libraries read; returns the histories, item ids by user.

    Training has all interactions but each user's last. Of each user, two histories are asked: the
    training interactions, and a random part from their beginning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids, random = raw.catalog.item_ids, np.random.default_rng(0)
    training: Rows = []
    histories: dict[str, list[str]] = {}
    for user, user_id in enumerate(raw.user_ids):
        rows = raw.item_indices[raw.user_offsets[user] : raw.user_offsets[user + 1] - 1]
        items = [ids[index - 1] for index in rows]
        training += [(user_id, item_id, place) for place, item_id in enumerate(items)]
        for length in (len(items), int(random.integers(1, len(items)))):
            if len(histories) < NUM_HISTORIES:
                histories[f"h{len(histories)}"] = items[: min(length, LONGEST)]
    asked = [
        (user, item_id, place)
        for user, items in histories.items()
        for place, item_id in enumerate(items)
    ]
    _write(folder / "training.csv", COLUMNS, training)
    _write(folder / "histories.csv", COLUMNS, asked)
    _write(folder / "items.csv", ("item_id", "title"), zip(ids, raw.catalog.titles, strict=True))
    return histories


def _write(path: Path, header: Sequence[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def train(model: Model, python: Path, data: Path, folder: Path) -> None:
    """Trains the model in its library's environment, unless `folder` has its answers already."""
    if (folder / "answers.npz").exists():
        return
    words = [str(python), "-W", "ignore", "-m", f"benchmarks.rivals.{model.program}"]
    files = [str(data / "training.csv"), str(data / "histories.csv"), str(folder)]
    hidden = environment() | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*words, *files, *model.options], cwd=data, env=hidden, check=True)


def read_answers(folder: Path) -> Answers:
    """Reads the answers that a library's program has written into `folder`."""
    with np.load(folder / "answers.npz", allow_pickle=False) as arrays:
        return Answers(arrays["items"], arrays["scores"], arrays["milliseconds"])


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
    return Answers(np.array(items), np.array(scores), np.array(milliseconds[:NUM_TIMED]))


@contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """Runs `serve` for the duration of a `with` block; yields its base URL."""
    port = free_port()
    words = ["distilled-recommender", "serve", str(bundle), "--port", str(port)]
    process = subprocess.Popen(words, env=environment() | {"PYTHONPATH": str(ROOT)})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def figures(name: str, library: Answers, service: Answers) -> Iterator[Figure]:
    """Compares the service's answers with the library's; two items are a tie within `TIE`."""
    differs = library.items != service.items
    gaps = np.abs(library.scores - service.scores)
    wrong = (differs & (gaps > TIE)).any(axis=1)
    yield Figure(f"{name}: histories", "histories", len(library.items))
    yield Figure(f"{name}: top 20 differs but for ties", "histories", int(wrong.sum()), at_most=0)
    yield Figure(f"{name}: ties in another order", "histories", int(differs.any(axis=1).sum()))
    yield Figure(f"{name}: largest difference of a score", "1e-6", 1e6 * float(gaps.max()))
    for who, answers in (("the library, one user", library), ("REST", service)):
        median = float(np.median(answers.milliseconds))
        yield Figure(f"{name}: {who}, median", "ms", median)
