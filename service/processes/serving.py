"""Runs the server: one worker in this process, or several that are watched and replaced.

During the start, SIGTERM ends the process at once. Later, the process still answers for
DRAIN_SECONDS after SIGTERM (`service.http.draining`), and ends within two more seconds. The exit
code is 0 in both cases.
"""

import sys
from contextlib import suppress

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from service.processes.server import Server
from service.processes.supervisor import Supervisor


def serve(config: uvicorn.Config, drain_seconds: float, start_seconds: float) -> None:
    """Serves until a signal ends the process; exits with code 3 if the server cannot start.

    Args:
        config: settings of the server.
        drain_seconds: time for which workers still answer after SIGTERM.
        start_seconds: maximum time of a worker's start; if there are several workers, one that
            takes longer is replaced.
    """
    if config.workers > 1:
        is_started = Supervisor(config, drain_seconds, start_seconds).run()
    else:
        config.load_app()
        server = Server(config)
        with suppress(KeyboardInterrupt):
            server.run()
        is_started = server.started
    if not is_started:
        sys.exit(STARTUP_FAILURE)
