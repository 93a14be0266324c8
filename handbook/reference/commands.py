"""Writes docs/commands.md: the help texts of every command and option."""

import re

from distilled_recommender.app import EXIT_CODES, PACKAGE, build_app

INTRODUCTION = f"""\
# Commands

`{PACKAGE}` is one command for every program of this project. `{PACKAGE} --install-completion` lets
the shell complete commands and options, `{PACKAGE} --version` prints the version. Errors
are one line on stderr.

{EXIT_CODES}
`python -m` runs the same programs with the same options: `python -m training.MODULE` (`prepare`,
`teach`, `distill`, `evaluate`, `serve_teacher`, `ladder`), `python -m export`,
`python -m benchmarks`. `python -m service` serves with settings from the environment alone.

This page is written by `make reference`.
"""


def page() -> str:
    """Returns the text of the page, from the help texts of all commands."""
    generated = build_app(load_now=True).generate_docs(output_format="markdown")
    commands = generated[generated.index("## Table of Contents") :]
    # cyclopts writes `-m` and the running module into the usage lines: remove both.
    commands = re.sub(rf"^({PACKAGE} .*?) -m [\w.]+", r"\1", commands, flags=re.MULTILINE)
    # Remove the program's name from the headings, so that they are as short as the commands.
    commands = re.sub(rf"^(#+) {PACKAGE} (.+)$", r"\1 \2", commands, flags=re.MULTILINE)
    commands = commands.replace(f"(#{PACKAGE}-", "(#").replace(
        "## Table of Contents", "## Contents"
    )
    # The heading of an option keeps its dashes in its anchor.
    commands = commands.replace("(#install-completion)", "(#--install-completion)")
    return f"{INTRODUCTION}\n{commands.rstrip()}\n"
