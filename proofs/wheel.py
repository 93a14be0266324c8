"""Proves that the package works without a checkout, by installing its wheel in new environments.

The base installation has no torch and must serve the example bundle. With the extra `demo`, the
command `demo` must run the whole pipeline in an empty folder, up to answered queries. This takes
minutes and needs a network, so it is not a test.

python -m proofs wheel [--python PYTHON] [--base-python PYTHON ...]
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
from cyclopts import Parameter

from proofs.record import Figure

ROOT = Path(__file__).parents[1]
QUERY = {"history": ["1", "1196", "2571"], "k": 5}
MIB = 2**20
READY_SECONDS = 120


class Installed:
    """A new virtual environment with the wheel installed, and an empty folder to work in."""

    def __init__(self, python: str, folder: Path, wheel: Path, extra: str = "") -> None:
        """Creates the environment and installs the wheel.

        Args:
            python: interpreter of the environment.
            folder: parent of the environment and of the empty folder.
            wheel: file of the wheel.
            extra: extra of the package to install; empty for the base installation.
        """
        self.bin = folder / "environment" / "bin"
        self.empty = folder / "empty"
        self.empty.mkdir(parents=True)
        subprocess.run([python, "-m", "venv", str(self.bin.parent)], check=True)
        requirement = f"{wheel}[{extra}]" if extra else str(wheel)
        self.run("python", "-m", "pip", "install", "--quiet", "--no-compile", requirement)

    def run(self, program: str, *arguments: str) -> str:
        """Runs a program of the environment in the empty folder; returns its standard output."""
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.empty,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def packages(self) -> list[str]:
        """Returns the names of the installed packages."""
        listed = self.run("python", "-m", "pip", "list", "--format", "json")
        return [each["name"] for each in json.loads(listed)]

    def version(self) -> str:
        """Returns the Python version of the environment, such as "3.11"."""
        program = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
        return self.run("python", "-c", program).strip()


def environment() -> dict[str, str]:
    """Returns this process's environment variables, without those that name the checkout.

    Variables that name a bundle for the service are left out too.
    """
    hidden = {"PYTHONPATH", "BUNDLE_PATH", "VARIANTS", "SECRETS_PATH"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


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


def wait_until_ready(
    url: str, process: "subprocess.Popen[bytes]", seconds: float = READY_SECONDS
) -> None:
    """Waits until the service at `url` is ready.

    Raises:
        RuntimeError: its process ended.
        TimeoutError: it is not ready after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with exit code {process.returncode}")
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{url} is not ready after {seconds} s")


def free_port() -> int:
    """Returns a free TCP port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


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
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    yield Figure("wheel", "MiB", wheel.stat().st_size / MIB, at_most=20)
    for number, each in enumerate([python, *base_python]):
        yield from base_figures(Installed(each, folder / f"base-{number}", wheel))
    yield from demo_figures(Installed(python, folder / "demo", wheel, "demo"))
