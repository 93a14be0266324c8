"""`distilled-recommender demo`: runs the whole pipeline on one dataset, and serves its bundle.

Every stage runs in this process, so that nothing keeps running when the process ends.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import uvicorn
from cyclopts import Parameter
from cyclopts.validators import Number
from pydantic import ValidationError

from distilled_recommender.files import KNOWLEDGE, MOVIELENS, TERMS, carried, lay_out
from export.__main__ import export
from service.api.schemas.bodies import MAX_IDS
from service.app import create_app
from service.http.protocol import LimitedProtocol
from service.settings import Settings
from training.cli import say
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.distill import DistillOptions, distill
from training.errors import ConfigError
from training.evaluate import evaluate_all
from training.prepare import prepare
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Work
from training.workplace import Workplace, open_experiment

START_SECONDS = 60.0
NUM_HISTORIES = 3
TITLES_SHOWN = 5

History = list[tuple[str, str]]
"""A list of item ids with their titles, oldest first."""

Stage = Callable[[Experiment, Workplace], None]


@Parameter(name="*")
@dataclass(frozen=True)
class DemoOptions:
    """Command-line options of `demo`, in addition to the experiment file and `--work`."""

    host: Annotated[str, Parameter(env_var="HOST", show_default=True)] = "127.0.0.1"
    """Address that the service listens on."""
    port: Annotated[
        int, Parameter(env_var="PORT", show_default=True, validator=Number(gte=1, lte=65_535))
    ] = 8000
    """Port that the service listens on."""
    once: bool = False
    """End after the example answers, instead of serving until Ctrl-C."""
    refit: bool = False
    """Serve the student that was trained again on all interactions, as a shop would."""


DEFAULTS = DemoOptions()


def command(
    config: Annotated[Config, Parameter(show_default=True)] = MOVIELENS,
    /,
    *,
    work: Work = WORK,
    options: DemoOptions = DEFAULTS,
) -> None:
    """Make a bundle of MovieLens, serve it and query it: the whole pipeline in minutes."""
    _settings(options.host)  # before the stages, which take minutes
    if config == MOVIELENS:
        _lay_out_movielens()
    experiment, workplace = open_experiment(config, work)
    if experiment.data.source == "movielens":
        say(carried(TERMS).read_text(encoding="utf-8").rstrip())
    for name, stage in _stages(refit=options.refit).items():
        _run_stage(name, stage, experiment, workplace)
    with _service(workplace.bundle, options.host, options.port) as client:
        for history in _real_histories(load_dataset(workplace.dataset)):
            _ask(client, history)
        if not options.once:
            say(f"\nserving on {client.base_url} (try {client.base_url}/docs); Ctrl-C ends it")
            _wait_for_interrupt()


def _lay_out_movielens() -> None:
    """Copies the MovieLens experiment and its teacher's knowledge into the working folder.

    The user can change the experiment there, and run the other commands on it.
    """
    for path in (MOVIELENS, KNOWLEDGE):
        if lay_out(path):
            say(f"written: {path}, copied from the package")


def _stages(*, refit: bool) -> dict[str, Stage]:
    distilling = DistillOptions(refit=refit)
    return {
        "prepare": prepare,
        "distill": lambda experiment, workplace: distill(experiment, workplace, distilling),
        "evaluate": evaluate_all,
        "export": partial(export, refit=refit),
    }


def _run_stage(name: str, stage: Stage, experiment: Experiment, workplace: Workplace) -> None:
    started = time.monotonic()
    say(f"\n── {name}")
    stage(experiment, workplace)
    say(f"   {time.monotonic() - started:.1f} s")


def _settings(host: str, **more: Path) -> Settings:
    """Returns the settings of the demo's service, which requires no API keys.

    `more` has further settings of the service by name, such as the path of the bundle.

    Raises:
        ConfigError: a setting in the environment is invalid, or `host` can be reached from other
            machines and ALLOW_ANONYMOUS is not set.
    """
    try:
        return Settings.model_validate({"host": host, "keys_file": None, **more})
    except ValidationError as error:
        messages = [each["msg"].removeprefix("Value error, ") for each in error.errors()]
        raise ConfigError("; ".join(messages)) from None


@contextmanager
def _service(bundle: Path, host: str, port: int) -> Iterator[httpx.Client]:
    """Context manager that serves `bundle` in a thread at `host` and `port`.

    Yields an HTTP client of the service, which has started by then.
    """
    say("\n── service")
    config = uvicorn.Config(
        create_app(_settings(host, bundle_path=bundle)),
        host=host,
        port=port,
        access_log=False,
        server_header=False,
        http=LimitedProtocol,
        ws="none",
    )
    server = uvicorn.Server(config)
    # A daemon thread does not keep the process alive, even if it does not stop.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _wait_until_started(server, thread)
    try:
        with httpx.Client(base_url=address_of(host, port), trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def address_of(host: str, port: int) -> str:
    """Returns the URL of a service; in it, an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            where = f"{server.config.host}:{server.config.port}"
            raise ConfigError(
                f"no service on {where}: the port may be in use; choose another with --port or PORT"
            )
        time.sleep(0.05)


def _real_histories(dataset: Dataset) -> list[History]:
    """Returns the histories of NUM_HISTORIES users, at most MAX_IDS items each.

    A history ends before the user's newest test interaction.
    """
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
