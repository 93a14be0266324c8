"""Runs the console command `distilled-recommender`, also as `python -m distilled_recommender`.

SIGTERM must end `serve` and a running `collect` with exit code 0 from the start. This module
therefore handles the signal before its slow imports, which take up to seconds.
"""

import sys
from collections.abc import Sequence

from service.__main__ import end_at_sigterm


def run() -> int:
    """Runs the sub-command that the arguments of this process name; returns the exit code."""
    if _runs_until_sigterm(sys.argv[1:]):
        end_at_sigterm()
    from distilled_recommender.app import main

    return main()


def _runs_until_sigterm(words: Sequence[str]) -> bool:
    if words[:1] == ["collect"]:
        # Code 0 of `collect --once` says that everything is collected.
        return not any(each.startswith("--once") for each in words)
    return words[:1] == ["serve"]


if __name__ == "__main__":
    sys.exit(run())
