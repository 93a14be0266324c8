"""Prints what pip has to install for some extras: pyproject.toml's dependencies, nothing of ours.

So the layer of an image that holds them changes only when they do.

python docker/requirements.py [EXTRA ...] < pyproject.toml
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any


def requirements(project: dict[str, Any], extras: Sequence[str]) -> Iterator[str]:
    """The dependencies of `project` and of its `extras`, which may name others of its own."""
    own = re.compile(rf"{re.escape(project['name'])}\[(.+)\]")
    yield from project["dependencies"]
    waiting = [*extras]
    while waiting:
        for requirement in project["optional-dependencies"][waiting.pop()]:
            if match := own.fullmatch(requirement):
                waiting += match[1].split(",")
            else:
                yield requirement


if __name__ == "__main__":
    found = requirements(tomllib.load(sys.stdin.buffer)["project"], sys.argv[1:])
    sys.stdout.write("\n".join(sorted(set(found))) + "\n")
