"""Fixtures: a small bundle of real films, the service on it, and a teacher's server."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from numpy.typing import NDArray

from export.contract.bundle import Item, save_bundle
from export.freeze import export_graphs
from proofs.fixtures.processes.waiting import free_port
from tests.conftest import TIMEOUT_SECONDS
from tests.live.chromium import browser as browser
from tests.live.chromium import chromium as chromium
from training.data.raw import RawData
from training.data.sources.movielens import read_movielens
from training.settings.student import StudentConfig
from training.students.item_table import ItemTable
from training.students.student import Student
from training.teacher.live.server import create_app
from training.teacher.live.teacher import LiveAnswer, LiveTeacher

NUM_FILMS = 250
NUM_EXAMPLES = 5

Serve = Callable[..., AbstractContextManager[str]]


class MeanOfHistory(Student):
    """A minimal student: its query is the mean vector of the history's items."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__(StudentConfig(), ItemTable(len(vectors) + 1, vectors.shape[1]))
        self.item_table.offsets.data = vectors

    def encode_newest(self, histories: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        is_item = (histories > 0).unsqueeze(-1)
        vectors = torch.nn.functional.embedding(histories, table)
        return (vectors * is_item).sum(1) / is_item.sum(1).clamp(min=1)


@pytest.fixture(scope="session")
def films() -> RawData:
    """MovieLens, reduced to the films with the most ratings; ids are MovieLens' own."""
    raw = read_movielens()
    most_rated = np.argsort(-np.bincount(raw.item_indices), kind="stable")[:NUM_FILMS]
    return raw.select(np.isin(raw.item_indices, most_rated))


@pytest.fixture(scope="session")
def films_bundle(films: RawData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of these films. The student is not trained: films of the same raters are near."""
    folder = tmp_path_factory.mktemp("films")
    student = MeanOfHistory(film_vectors(films)).eval()
    graphs = export_graphs(student, folder, num_random=20)
    counts = np.bincount(films.item_indices)[1:].tolist()
    catalog = films.catalog
    save_bundle(
        folder / "bundle",
        graphs.model,
        map(Item, catalog.item_ids, catalog.titles, counts, catalog.attributes),
        histories=newest_films_of_some_users(films),
        common_case=graphs.common_case,
        student="mean of history",
        max_history_length=student.max_history_length,
        metrics={},
        parity_error=0.0,
        provenance={"made_by": "tests"},
    )
    return folder / "bundle"


def film_vectors(films: RawData) -> torch.Tensor:
    """Returns unit vectors `[films, 24]`: the principal axes of the matrix of films and raters."""
    shape = films.catalog.num_items, len(films.user_ids)
    ratings: NDArray[np.float32] = np.zeros(shape, dtype=np.float32)
    ratings[films.item_indices - 1, films.users] = 1
    ratings /= np.linalg.norm(ratings, axis=1, keepdims=True)
    axes, strengths, _ = np.linalg.svd(ratings - ratings.mean(axis=0), full_matrices=False)
    return torch.nn.functional.normalize(torch.from_numpy(axes[:, :24] * strengths[:24]))


def newest_films_of_some_users(films: RawData) -> Iterator[list[str]]:
    for start, end in pairwise(films.user_offsets[: NUM_EXAMPLES + 1]):
        newest = films.item_indices[start:end][-6:].tolist()
        yield [films.catalog.item_ids[index - 1] for index in newest]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Runs `python -m service` on a bundle, with settings by name; the block gets its address."""
    return serving


@contextmanager
def serving(bundle: Path, **settings: str) -> Iterator[str]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    variables = {
        "BUNDLE_PATH": str(bundle),
        "ITEMS_PATH": str(bundle.with_name("added-items.jsonl")),
        "PORT": str(port),
        **settings,
    }
    process = subprocess.Popen([sys.executable, "-m", "service"], env={**os.environ, **variables})
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_SECONDS)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], path: str = "/readyz") -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=TIMEOUT_SECONDS) as client:
        for _ in range(10 * TIMEOUT_SECONDS):
            assert process.poll() is None, "the program ended before it was ready"
            try:
                if client.get(path).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise TimeoutError(f"{url} is not ready")


class GenreTeacher:
    """Replaces the LLM: it writes the newest film's genres, and films that share them are near."""

    version = "genres"

    def __init__(self, films: RawData) -> None:
        items = zip(films.catalog.item_ids, films.catalog.attributes, strict=True)
        self._genres = {item_id: {*each.get("genres", ())} for item_id, each in items}

    def recommend(
        self, history: Sequence[str], k: int, exclude: Collection[str], *, mask_seen: bool = True
    ) -> LiveAnswer:
        forbidden = {*exclude, *(history if mask_seen else ())}
        distances = {
            item_id: self._distance(history[-1], item_id)
            for item_id in self._genres.keys() - forbidden
        }
        nearest = sorted(distances, key=lambda each: (distances[each], each))[:k]
        near = [distances[item_id] for item_id in nearest]
        return LiveAnswer(nearest, near, 0, ", ".join(sorted(self._genres[history[-1]])))

    def _distance(self, one: str, other: str) -> float:
        mine, its = self._genres[one], self._genres[other]
        return 1 - len(mine & its) / max(len(mine | its), 1)


@pytest.fixture(scope="session")
def teacher_url(films: RawData) -> Iterator[str]:
    """Runs the teacher's server in a thread; returns its address."""
    app = create_app(cast("LiveTeacher", GenreTeacher(films)), threads=1)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the teacher's server has ended"
        time.sleep(0.01)
    (address,) = [listener.getsockname() for each in server.servers for listener in each.sockets]
    yield f"http://{address[0]}:{address[1]}"
    server.should_exit = True
    thread.join()
