"""Proves that the package works without a checkout, by installing its wheel in new environments.

The base installation has no torch and must serve the example bundle. With the extra `demo`, the
command `demo` must run the whole pipeline in an empty folder, up to answered queries. This takes
minutes and needs a network, so it is not a test.

python -m proofs wheel [--python PYTHON] [--base-python PYTHON ...]
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
from cyclopts import Parameter

from proofs.fixtures.installed.wheel import Installed, build_wheel, environment
from proofs.fixtures.processes.waiting import free_port, wait_until_ready
from proofs.record import Figure

QUERY = {"history": ["1", "1196", "2571"], "k": 5}
MIB = 2**20


def base_figures(installed: Installed) -> Iterator[Figure]:
    """Serves the example bundle with the base installation, and sends one query.

    Yields the number of installed packages and whether torch is one of them. Then it yields the
    seconds from the start to the answer, and the number of items in the answer.
    """
    python = f"Python {installed.version()}, base"
    packages = installed.packages()
    yield Figure(f"{python}: packages", "packages", len(packages))
    yield Figure(f"{python}: torch installed", "packages", packages.count("torch"), at_most=0)
    started = time.monotonic()
    with serving_example(installed) as url:
        response = httpx.post(f"{url}/v1/recommendations", json=QUERY, trust_env=False)
        seconds = time.monotonic() - started
    answer = response.raise_for_status().json()
    yield Figure(f"{python}: from `serve` to an answer", "s", seconds)
    yield Figure(f"{python}: items of an answer", "items", len(answer["items"]), at_least=5)


@contextmanager
def serving_example(installed: Installed) -> Iterator[str]:
    """Runs `serve --example` for the duration of a `with` block; yields its base URL."""
    port = free_port()
    program = [str(installed.bin / "distilled-recommender"), "serve", "--example"]
    process = subprocess.Popen(
        [*program, "--port", str(port)], cwd=installed.empty, env=environment()
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def demo_figures(installed: Installed) -> Iterator[Figure]:
    """Runs `demo` in the empty folder; yields its duration and the number of answered queries."""
    python = f"Python {installed.version()}, extra demo"
    started = time.monotonic()
    arguments = ["demo", "--once", "--port", str(free_port())]
    printed = installed.run("distilled-recommender", *arguments)
    yield Figure(f"{python}: `demo` in an empty folder", "s", time.monotonic() - started)
    answers = printed.count("ms over HTTP")
    yield Figure(f"{python}: answered queries", "queries", answers, at_least=3)


def prove(
    *,
    python: Annotated[
        str, Parameter(help="Python interpreter for both installations.")
    ] = sys.executable,
    base_python: Annotated[
        tuple[str, ...],
        Parameter(consume_multiple=1, help="More interpreters to test the base installation with."),
    ] = (),
) -> Iterator[Figure]:
    """Install the wheel in new environments and use it."""
    with TemporaryDirectory() as name:
        yield from _figures(Path(name), python, base_python)


def _figures(folder: Path, python: str, base_python: Sequence[str]) -> Iterator[Figure]:
    wheel = build_wheel(folder)
    yield Figure("wheel", "MiB", wheel.stat().st_size / MIB, at_most=20)
    for number, each in enumerate([python, *base_python]):
        yield from base_figures(Installed(each, folder / f"base-{number}", wheel))
    yield from demo_figures(Installed(python, folder / "demo", wheel, "demo"))
