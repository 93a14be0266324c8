"""Proves that the tutorial works as written, from the built wheel and an empty folder.

Every block of shell in docs/tutorial.md runs as it stands, in order; only the port of the service
is another one. The proof installs the wheel in a new environment first, as the tutorial says. This
takes minutes and needs packages from an index, so it is not a test.

python -m proofs tutorial
"""

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.fixtures.installed.documents import Reader, Step, divided, steps
from proofs.fixtures.installed.wheel import build_wheel, environment
from proofs.fixtures.places import ROOT
from proofs.record import Figure

logger = logging.getLogger(__name__)

TUTORIAL = ROOT / "docs" / "tutorial.md"


def prove() -> Iterator[Figure]:
    """Do what the tutorial says, with the wheel, in an empty folder."""
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        wheel = build_wheel(folder / "dist")
        reader = Reader(_empty(folder / "shop"), _variables(folder / "shop", wheel))
        printed: list[tuple[Step, str]] = []
        started = time.monotonic()
        for number, step in enumerate(steps(TUTORIAL.read_text(encoding="utf-8")), start=1):
            began = time.monotonic()
            if step.is_service:
                stack.close()  # the service of an earlier chapter
                before, serve = divided(step.code)
                reader.run(before)
                stack.enter_context(reader.serving(serve))
            else:
                printed.append((step, reader.run(step.code)))
            seconds = time.monotonic() - began
            yield Figure(f"block {number}, of chapter {step.chapter}", "s", seconds)
        yield Figure("the whole tutorial", "s", time.monotonic() - started)
        yield from shape_figures(printed)


def shape_figures(printed: Sequence[tuple[Step, str]]) -> Iterator[Figure]:
    """Yields how many outputs the tutorial shows, and how many of them have another shape."""
    compared = [(step.shown, output) for step, output in printed if step.shown]
    differing = 0
    for shown, output in compared:
        if not has_same_shape(shown, output):
            differing += 1
            logger.warning("the tutorial shows:\n%s\nprinted was:\n%s", shown, output)
    yield Figure("outputs that are shown", "outputs", len(compared), at_least=1)
    yield Figure("outputs of another shape than shown", "outputs", differing, at_most=0)


def has_same_shape(shown: str, printed: str) -> bool:
    """Whether JSON has the same keys, and each shown line of text the same words.

    Numbers and hashes may differ, and more lines may be printed than are shown.
    """
    if shown.startswith("{"):
        return _keys(json.loads(shown)) == _keys(json.loads(printed))
    lines = {_words(line) for line in printed.splitlines()}
    return {_words(line) for line in shown.splitlines()} <= lines


def _keys(answer: object) -> object:
    """Returns the nested keys of an answer, and how many items a list has."""
    if isinstance(answer, Mapping):
        return {name: _keys(each) for name, each in answer.items()}
    return [_keys(each) for each in answer] if isinstance(answer, list) else None


def _words(line: str) -> tuple[str, ...]:
    """Returns the words of a line; a word with a digit counts as a number."""
    return tuple("#" if re.search(r"\d", word) else word for word in line.split())


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _variables(folder: Path, wheel: Path) -> dict[str, str]:
    """Returns a reader's variables; each block finds the environment that the first one makes."""
    variables = environment()
    path = f"{folder / '.venv' / 'bin'}{os.pathsep}{variables.get('PATH', '')}"
    return {**variables, "PATH": path, "WHEEL": str(wheel)}
