"""Runs a program of docs/how-to/ray.md on a Ray cluster of this machine."""

import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import psutil
import torch

from proofs.fixtures.places import ROOT

PAGE = ROOT / "docs" / "how-to" / "ray.md"
TIMEOUT_SECONDS = 1_800

_BLOCK = re.compile(r'^```python title="(?P<name>\w+\.py)"\n(?P<code>.*?)^```$', re.DOTALL | re.M)
_LOOK_SECONDS = 0.01


def program_of_page(name: str) -> str:
    """Returns the program `name` of the page."""
    return {each["name"]: each["code"] for each in _BLOCK.finditer(PAGE.read_text("utf-8"))}[name]


class RayProgram:
    """A running program of the page; a context manager that ends it and its Ray."""

    def __init__(self, python: str, name: str, *arguments: object) -> None:
        """Stores what to run: the program `name` of the page, by the interpreter `python`."""
        self._command = [python, "-c", program_of_page(name), *map(str, arguments)]
        self._started = 0.0

    def __enter__(self) -> Self:
        """Starts the program, with as many threads a process as torch has here."""
        self._folder = TemporaryDirectory(prefix="ray-")  # a short path: Ray's sockets lie in it
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RAY_TMPDIR": self._folder.name,
            "RAY_ADDRESS": "local",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),  # Ray would write one into the home folder
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),  # they decide the last digits
        }
        self._started = time.monotonic()
        self._process = psutil.Popen(self._command, env=environment)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the program and all processes of its Ray."""
        family = self._family()
        for each in (self._process, *family):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self._process.wait()
        psutil.wait_procs(family, timeout=10)
        self._folder.cleanup()

    def wait(self) -> float:
        """Waits until the program has ended; returns the seconds since its start.

        Raises:
            RuntimeError: it failed, or takes too long.
        """
        try:
            code = self._process.wait(TIMEOUT_SECONDS)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            code = None
        if code != 0:
            raise RuntimeError(f"the program on Ray ended with code {code}; see its messages above")
        return time.monotonic() - self._started

    def kill_worker_when(self, is_time: Callable[[], bool]) -> None:
        """Kills, with SIGKILL, a process of Ray that runs a task, as soon as `is_time`.

        Raises:
            RuntimeError: the program ended before, or takes too long.
        """
        deadline = self._started + TIMEOUT_SECONDS
        while not (is_time() and (workers := self._workers())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the program on Ray was not seen computing")
            time.sleep(_LOOK_SECONDS)
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()

    def _family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            children: list[psutil.Process] = self._process.children(recursive=True)
            return children
        return []

    def _workers(self) -> list[psutil.Process]:
        """Returns the processes that run a task; Ray names a process by its task."""
        found = []
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                title = " ".join(each.cmdline())
                if title.startswith("ray::") and "compute" in title:
                    found.append(each)
        return found
