"""The whole road on one data set, then a service that answers three real histories.

python demo.py configs/movielens.toml
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from training.config import load_experiment
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.errors import TrainingError
from training.program import USER_ERROR, Workplace, say

STAGES = ("training.prepare", "training.distill", "training.evaluate", "export")
START_SECONDS = 60.0
NUM_HISTORIES = 3
TITLES_SHOWN = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        workplace = Workplace(options.work / load_experiment(options.config).name)
    except TrainingError as error:
        sys.stderr.write(f"error: {error}\n")
        return USER_ERROR
    for stage in STAGES:
        code = _run_stage(stage, options.config, options.work)
        if code:
            return code
    with _service(workplace.bundle, options.host, options.port) as client:
        for history in _real_histories(load_dataset(workplace.dataset)):
            _ask(client, history)
        if not options.once:
            say(f"\nserving on {client.base_url} (try {client.base_url}/docs); Ctrl-C ends it")
            _wait_for_interrupt()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python demo.py", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--once", action="store_true", help="end after the three answers")
    return parser


def _run_stage(module: str, config: Path, work: Path) -> int:
    """Runs one program of the road in a process of its own, so its memory goes when it ends."""
    started = time.monotonic()
    say(f"\n── {module}")
    command = [sys.executable, "-m", module, str(config), "--work", str(work)]
    code = subprocess.run(command, check=False).returncode  # noqa: S603, our own modules
    say(f"   {time.monotonic() - started:.1f} s")
    return code


@contextmanager
def _service(bundle: Path, host: str, port: int) -> Iterator[httpx.Client]:
    """A running service and a client of it; the service ends with the block."""
    say("\n── service")
    environment = {**os.environ, "BUNDLE_PATH": str(bundle), "HOST": host, "PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "service"], env=environment)
    try:
        with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
            _wait_until_ready(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the service at {client.base_url} did not get ready; is the port taken?")


def _real_histories(dataset: Dataset) -> list[list[str]]:
    """Item ids of what some test users did before their newest test interaction."""
    rows = dataset.example_rows(Split.TEST)
    newest_of_user = dict(zip(dataset.user_of_row[rows], rows, strict=True))
    chosen = list(newest_of_user.values())[-NUM_HISTORIES:]
    ids = dataset.catalog.item_ids
    return [[ids[index - 1] for index in dataset.history(row)] for row in chosen]


def _ask(client: httpx.Client, history: list[str]) -> None:
    started = time.perf_counter()
    answer = client.post("/v1/recommendations", json={"history": history, "k": TITLES_SHOWN})
    milliseconds = (time.perf_counter() - started) * 1000
    answer.raise_for_status()
    titles = [client.get(f"/v1/items/{item_id}").json()["title"] for item_id in history[-3:]]
    say(f"\nwatched last: {'; '.join(titles)}")
    for rank, item in enumerate(answer.json()["items"], start=1):
        say(f"  {rank}. {item['title']}")
    say(f"  {milliseconds:.1f} ms over HTTP, {answer.headers['server-timing']}")


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        say("\ngoodbye")


if __name__ == "__main__":
    sys.exit(main())
