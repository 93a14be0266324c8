"""Writes docs/commands.md: the help texts of every command and option.

python -m distilled_recommender.reference
"""

import re
from pathlib import Path

from distilled_recommender.app import EXIT_CODES, PACKAGE, build_app
from distilled_recommender.files import checkout
from training.cli import say

INTRODUCTION = f"""\
# Commands

`{PACKAGE}` is one command for every program of this project. `{PACKAGE} --install-completion` lets
the shell complete commands and options. Errors are one line on stderr.

{EXIT_CODES}
`python -m` runs the same programs with the same options: `python -m training.MODULE` (`prepare`,
`teach`, `distill`, `evaluate`, `serve_teacher`, `ladder`), `python -m export`,
`python -m benchmarks`. `python -m service` serves with settings from the environment alone.

This page is written by `make commands`.
"""


def reference() -> str:
    """Returns the text of docs/commands.md, from the help texts of all commands."""
    generated = build_app(load_now=True).generate_docs(output_format="markdown")
    commands = generated[generated.index("## Table of Contents") :]
    # cyclopts writes `-m` and the running module into the usage lines: remove both.
    commands = re.sub(rf"^({PACKAGE} .*?) -m [\w.]+", r"\1", commands, flags=re.MULTILINE)
    # Remove the program's name from the headings, so that they are as short as the commands.
    commands = re.sub(rf"^(#+) {PACKAGE} (.+)$", r"\1 \2", commands, flags=re.MULTILINE)
    commands = commands.replace(f"(#{PACKAGE}-", "(#").replace(
        "## Table of Contents", "## Contents"
    )
    return f"{INTRODUCTION}\n{commands.rstrip()}\n"


def main() -> None:
    """Writes docs/commands.md in the checkout."""
    page = (checkout() or Path()) / "docs" / "commands.md"
    page.write_text(reference(), encoding="utf-8")
    say(f"written: {page}")


if __name__ == "__main__":
    main()
