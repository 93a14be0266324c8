"""Prints what pip has to install for some extras: pyproject.toml's dependencies, not this project.

So the layer of an image that holds them changes only when they do.

python docker/requirements.py [EXTRA ...] [--without PACKAGE] [--extras-only] < pyproject.toml
"""

import re
import sys
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any


def requirements(project: dict[str, Any], extras: Sequence[str]) -> Iterator[str]:
    """Yields the dependencies of `extras` of a project, which may name each other."""
    own = re.compile(rf"{re.escape(project['name'])}\[(.+)\]")
    waiting = [*extras]
    while waiting:
        for requirement in project["optional-dependencies"][waiting.pop()]:
            if match := own.fullmatch(requirement):
                waiting += match[1].split(",")
            else:
                yield requirement


def package(requirement: str) -> str:
    """The name of the package that a requirement is about."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--without", default="", help="a package to leave out")
    parser.add_argument("--extras-only", action="store_true", help="leave out the base's packages")
    options = parser.parse_args()
    project = tomllib.load(sys.stdin.buffer)["project"]
    base = [] if options.extras_only else project["dependencies"]
    found = [*base, *requirements(project, options.extras)]
    kept = {each for each in found if package(each) != options.without}
    sys.stdout.write("\n".join(sorted(kept)) + "\n")
