"""The whole road on one data set, then a service that answers three real histories.

python demo.py configs/movielens.toml
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

import export.__main__ as export_program
from service.api.schemas import MAX_IDS
from service.app import create_app
from service.settings import Settings
from training import distill, evaluate, prepare
from training.cli import USER_ERROR, say
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.errors import TrainingError
from training.settings.experiment import load_experiment
from training.workplace import Workplace

START_SECONDS = 60.0
NUM_HISTORIES = 3
TITLES_SHOWN = 5

History = list[tuple[str, str]]
"""Item ids and titles, oldest first."""

Program = Callable[[Sequence[str]], int]
# Everything runs in this one process, so that whatever ends it leaves nothing running behind.
STAGES: dict[str, Program] = {
    "prepare": prepare.main,
    "distill": distill.main,
    "evaluate": evaluate.main,
    "export": export_program.main,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        workplace = Workplace(options.work / load_experiment(options.config).name)
    except TrainingError as error:
        sys.stderr.write(f"error: {error}\n")
        return USER_ERROR
    for name, program in STAGES.items():
        code = _run_stage(name, program, [str(options.config), "--work", str(options.work)])
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


def _run_stage(name: str, program: Program, arguments: Sequence[str]) -> int:
    started = time.monotonic()
    say(f"\n── {name}")
    code = program(arguments)
    say(f"   {time.monotonic() - started:.1f} s")
    return code


@contextmanager
def _service(bundle: Path, host: str, port: int) -> Iterator[httpx.Client]:
    """A running service and a client of it; the service ends with the block."""
    say("\n── service")
    app = create_app(Settings(bundle_path=bundle))
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, access_log=False))
    # A daemon: should the block never end, the process still can.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _wait_until_started(server, thread)
    try:
        with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            where = f"{server.config.host}:{server.config.port}"
            raise SystemExit(f"error: no service on {where}; is the port taken? (make PORT=...)")
        time.sleep(0.05)


def _real_histories(dataset: Dataset) -> list[History]:
    """What some test users did before their newest test interaction."""
    rows = dataset.example_rows(Split.TEST)
    newest_of_user = dict(zip(dataset.user_of_row[rows], rows, strict=True))
    chosen = list(newest_of_user.values())[-NUM_HISTORIES:]
    ids, titles = dataset.catalog.item_ids, dataset.catalog.titles
    return [
        [(ids[index - 1], titles[index - 1]) for index in dataset.history(row)[-MAX_IDS:]]
        for row in chosen
    ]


def _ask(client: httpx.Client, history: History) -> None:
    started = time.perf_counter()
    body = {"history": [item_id for item_id, _ in history], "k": TITLES_SHOWN}
    answer = client.post("/v1/recommendations", json=body)
    milliseconds = (time.perf_counter() - started) * 1000
    answer.raise_for_status()
    titles = [title for _, title in history[-3:]]
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
