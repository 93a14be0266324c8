"""The slow path to a real teacher: SmolLM2 in a process that is killed and restarted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import numpy as np
import pytest

from proofs.fixtures.processes.waiting import free_port
from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS
from tests.smollm2 import smollm2_path
from training import teach
from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.data.storage import save_dataset

if TYPE_CHECKING:
    from tests.service.conftest import Connect

__all__ = ["smollm2_path"]  # a fixture

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAUSE_SECONDS = 0.5
RING = "abcdefgh"
TITLES = ("Toy Story", "Heat", "Story of Us", "Alien", "Élan", "Fargo", "Up", "Jaws")


class TeacherProcess:
    """`python -m training.serve_teacher` on a port of its own."""

    def __init__(self, experiment: Path) -> None:
        self._port = free_port()
        self._experiment = experiment
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts the process and waits until the LLM is loaded."""
        work = self._experiment.parent / "work"
        program = [sys.executable, "-m", "training.serve_teacher", str(self._experiment)]
        options = ["--work", str(work), "--port", str(self._port)]
        self._process = subprocess.Popen([*program, *options])
        for _ in range(10 * PATIENCE_SECONDS):
            if self._is_ready():
                return
            time.sleep(0.1)
        raise TimeoutError(f"the teacher does not answer on {self.url}")

    def kill(self) -> None:
        """Kills the process, as the kernel does when memory runs out."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, "the teacher's server has ended"
        try:
            return httpx.get(f"{self.url}/readyz", timeout=PATIENCE_SECONDS).is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, smollm2_path: Path) -> Path:
    """SmolLM2 has read eight walks round the ring."""
    folder = tmp_path_factory.mktemp("slow-path")
    prepared = folder / "work" / "ring" / "dataset"
    prepared.mkdir(parents=True)
    save_dataset(ring_dataset(), prepared)
    path = folder / "ring.toml"
    path.write_text(
        f"""
        name = "ring"
        [data]
        source = "movielens"
        [teacher]
        kind = "retrieval"
        model = "{smollm2_path}"
        precision = "float32"
        projection_size = 8
        epochs = 1
        """
    )
    assert teach.main([str(path), "--work", str(folder / "work")]) == 0
    return path


def ring_dataset() -> Dataset:
    num_users, walk = len(RING), 5
    steps = np.arange(num_users)[:, None] + np.arange(walk)
    splits = [Split.TRAIN] * (walk - 2) + [Split.VALIDATION, Split.TEST]
    return make_dataset(
        name="ring",
        catalog=Catalog(tuple(RING), TITLES, ({},) * len(RING)),
        user_ids=tuple(f"user {index}" for index in range(num_users)),
        item_indices=(steps % len(RING) + 1).ravel(),
        user_offsets=np.arange(num_users + 1) * walk,
        splits=np.tile(splits, num_users),
    )


@pytest.fixture
def teacher(experiment: Path) -> Iterator[TeacherProcess]:
    process = TeacherProcess(experiment)
    process.start()
    yield process
    process.kill()


@pytest.fixture
async def client(
    teacher: TeacherProcess, bundle_path: Path, connect: "Connect"
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        bundle_path=bundle_path,
        teacher_url=teacher.url,
        teacher_pause_seconds=PAUSE_SECONDS,
    )
    async with connect(settings) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, history: str) -> dict[str, Any]:
    response = await client.post(path, json={"history": list(history), "k": 3})
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


async def connection(client: httpx.AsyncClient) -> str:
    return str((await client.get("/readyz")).json()["teacher"])


async def test_a_real_teacher_answers_is_killed_and_answers_again_after_a_restart(
    client: httpx.AsyncClient, teacher: TeacherProcess
) -> None:
    first = await post(client, "/v1/compare", "abc")
    again = await post(client, "/v1/compare", "abc")
    assert len(first["teacher"]["items"]) == 3
    assert (first["teacher"]["cached"], again["teacher"]["cached"]) == (False, True)
    assert (first["degraded"], again["overlap"]) == (False, first["overlap"])

    teacher.kill()
    for history in ("a", "b", "c", "d", "e"):
        answer = await post(client, "/v1/teacher/recommendations", history)
        assert (answer["source"], answer["degraded"]) == ("student", True)
    assert await connection(client) == "lost"
    assert (await post(client, "/v1/compare", "bcd"))["teacher"] is None
    assert (await post(client, "/v1/compare", "abc"))["teacher"]["cached"]

    teacher.start()
    await anyio.sleep(PAUSE_SECONDS)
    answer = await post(client, "/v1/teacher/recommendations", "a")
    assert (answer["source"], answer["degraded"]) == ("teacher", False)
    assert await connection(client) == "connected"
