"""`python -m service`: serves a bundle over HTTP. All settings are environment variables.

SIGTERM must end the process with code 0 even while the service starts. So this module handles the
signal before it imports the rest of the service, which takes about a second.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType


def run(arguments: Sequence[str]) -> None:
    """Serves until a signal ends the process; `arguments` are those of the command line.

    During the start, SIGTERM ends the process at once, with code 0.
    """
    end_at_sigterm()
    from service.start import main

    main(arguments)


def end_at_sigterm() -> None:
    """Makes SIGTERM end this process at once, with code 0."""
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "pthread_sigmask"):
        # The image starts this process with the signal blocked. Before the line above, the signal
        # would end the process with another code, or be lost if the process has PID 1.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _end(_: int, __: FrameType | None) -> None:
    # An exception could be swallowed, since a signal comes between any two instructions.
    os._exit(0)


if __name__ == "__main__":
    run(sys.argv[1:])
