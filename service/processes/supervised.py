"""One of several worker processes, whose event loop sends beats to the supervisor."""

import asyncio
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from socket import socket

import uvicorn

from service.background import in_background
from service.processes.server import Server

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 0.5
_HUNG_SECONDS = 3.5
"""Time without a beat after which a worker counts as hung."""

_processes = multiprocessing.get_context("spawn")


class Worker:
    """A worker process, as the supervisor sees it."""

    def __init__(self, config: uvicorn.Config, sockets: Sequence[socket]) -> None:
        """Starts a process that serves on `sockets` with the server settings `config`."""
        self._since = time.monotonic()
        self._beat: float | None = None
        self._beats, beats = _processes.Pipe(duplex=False)
        self._process = _processes.Process(target=_serve, args=(config, sockets, beats))
        self._process.start()
        beats.close()  # the worker has the only copy, so that its end closes the pipe

    @property
    def name(self) -> str:
        """Name of the worker in log lines, with its process id."""
        return f"worker {self._process.pid}"

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process, negative after a signal; None while it runs."""
        return self._process.exitcode

    @property
    def is_started(self) -> bool:
        """Whether the worker serves, or served before it ended."""
        return self._beat is not None

    @property
    def age(self) -> float:
        """Seconds since the start of the process, minus the seconds given to `forgive`."""
        return time.monotonic() - self._since

    def is_hung(self, start_seconds: float) -> bool:
        """Reads the beats; returns whether the last beat is more than `_HUNG_SECONDS` ago.

        Before the first beat, returns whether the start is more than `start_seconds` ago.
        """
        with suppress(EOFError, OSError):  # the worker has just ended
            while self._beats.poll():
                self._beats.recv_bytes()
                self._beat = time.monotonic()
        if self._beat is None:
            return self.age > start_seconds
        return time.monotonic() - self._beat > _HUNG_SECONDS

    def forgive(self, seconds: float) -> None:
        """Extends the worker's time limits by the seconds in which the supervisor read no beats."""
        self._since += seconds
        if self._beat is not None:
            self._beat += seconds

    def terminate(self) -> None:
        """Sends SIGTERM to the worker."""
        self._process.terminate()

    def kill(self) -> None:
        """Kills the worker if it still runs, waits for its end, and closes the pipe of beats."""
        self._process.kill()
        self._process.join()
        self._beats.close()


def _serve(config: uvicorn.Config, sockets: list[socket], beats: Connection) -> None:
    """Serves until a signal ends this worker process; writes beats to the pipe `beats`."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # uvicorn re-raises it at its end
    config.configure_logging()
    with suppress(KeyboardInterrupt):
        _BeatingServer(config, beats).run(sockets)


class _BeatingServer(Server):
    """A server whose event loop writes a beat to a pipe twice a second while it serves."""

    def __init__(self, config: uvicorn.Config, beats: Connection) -> None:
        super().__init__(config)
        self._beats = beats
        os.set_blocking(beats.fileno(), False)

    async def main_loop(self) -> None:
        async with in_background(self._beat()):
            await super().main_loop()

    async def _beat(self) -> None:
        while True:
            try:
                self._beats.send_bytes(b"")
            except BlockingIOError:
                pass  # the pipe is full, since the supervisor is paused
            except OSError:
                break
            await asyncio.sleep(_BEAT_SECONDS)
        logger.error("the supervisor has died: this worker ends")
        signal.raise_signal(signal.SIGTERM)
