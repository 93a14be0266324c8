"""`python -m service`: serves a bundle over HTTP. All settings are environment variables.

SIGTERM must end the process with code 0 from the start. So this module imports little before it
handles the signal: the other imports take a second.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType


def run(arguments: Sequence[str]) -> None:
    """Serves until a signal ends the process.

    During the start, SIGTERM ends the process at once, with code 0.
    """
    end_at_sigterm()
    from service.start import main

    main(arguments)


def end_at_sigterm() -> None:
    """Has SIGTERM end this process at once, with code 0, from now on."""
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "pthread_sigmask"):
        # The image blocks the signal until this line, where it can be handled: without a handler,
        # the process would end by the signal, or lose it if it has PID 1.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _end(_: int, __: FrameType | None) -> None:
    # An exception could be swallowed, since a signal comes between any two instructions.
    os._exit(0)


if __name__ == "__main__":
    run(sys.argv[1:])
