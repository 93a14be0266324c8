"""Runs the server: one worker in this process, or several that are watched and replaced."""

import sys
from contextlib import suppress

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

_START_SECONDS = 30
"""Time that a new worker has to answer its first health check: it imports everything before."""

_HUNG_SECONDS = 3
"""Time that a worker has to answer any later one; otherwise it is killed and replaced."""


class Supervisor(Multiprocess):
    """uvicorn's supervisor, with a shorter deadline for workers that have started."""

    _started: frozenset[int | None] = frozenset()

    def keep_subprocess_alive(self) -> None:
        """Replaces each worker that has ended or does not answer in time."""
        before = {each.pid for each in self.processes}
        is_starting = not before <= self._started
        self.config.timeout_worker_healthcheck = _START_SECONDS if is_starting else _HUNG_SECONDS
        super().keep_subprocess_alive()
        # A worker that is still there has answered; a replacement has a new process id.
        self._started = frozenset(before & {each.pid for each in self.processes})


def serve(config: uvicorn.Config) -> None:
    """Serves until a signal ends the process; ends it with code 3 if the server cannot start."""
    if config.workers > 1:
        Supervisor(config, sockets=[config.bind_socket()]).run()
        return
    config.load_app()
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
