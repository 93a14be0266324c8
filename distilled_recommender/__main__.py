"""Runs the console command `distilled-recommender`, also as `python -m distilled_recommender`.

SIGTERM must end `serve` with exit code 0 from the start. This module therefore handles the signal
before its slow imports, which take a fraction of a second.
"""

import sys

from service.__main__ import end_at_sigterm


def run() -> int:
    """Runs the sub-command that the arguments of this process name; returns the exit code."""
    if sys.argv[1:2] == ["serve"]:
        end_at_sigterm()
    from distilled_recommender.app import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
