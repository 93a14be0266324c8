"""The Makefile takes its variables from the command line, and leaves those of the shell."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def served(*arguments: str, **exported: str) -> str:
    """Returns the command that `make serve` would run in a shell that exports some variables."""
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "serve", *arguments],
        cwd=ROOT,
        env=os.environ | exported,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def test_variables_that_shells_export_do_not_change_what_is_served_and_where() -> None:
    """WSL exports NAME, conda HOST: the names of the machine and of its platform."""
    assert served(NAME="laptop", HOST="x86_64-conda-linux-gnu") == served()
    assert served("NAME=shop", "HOST=127.0.0.2").endswith(
        "serve work/shop/bundle --host 127.0.0.2 --port 8000"
    )
