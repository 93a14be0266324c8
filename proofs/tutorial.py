"""Proves that the tutorial works as written, from the built wheel and an empty folder.

Every block of shell in docs/tutorial.md runs as it stands, in order; only the port of the service
is another one. The proof installs the wheel in a new environment first, as the tutorial says. This
takes minutes and needs packages from an index, so it is not a test.

python -m proofs tutorial
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.record import Figure
from proofs.wheel import ROOT, environment, free_port, wait_until_ready

TUTORIAL = ROOT / "docs" / "tutorial.md"
ADDRESS = "localhost:8000"

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A block of shell of the tutorial, and what the tutorial shows that it prints.

    Attributes:
        chapter: number of the chapter that the block stands in.
        code: the shell commands.
        shown: the block of text or JSON after it; empty if the next block is shell.
    """

    chapter: int
    code: str
    shown: str = ""

    @property
    def is_service(self) -> bool:
        """Whether the block ends with the service, which runs until it is stopped."""
        return "distilled-recommender serve" in self.code


def steps(text: str) -> list[Step]:
    """Returns the blocks of shell of a document, each with the output shown after it."""
    found: list[Step] = []
    for chapter, part in enumerate(re.split(r"^## ", text, flags=re.MULTILINE)):
        for block in _BLOCK.finditer(part):
            if block["language"] == "sh":
                found.append(Step(chapter, block["code"]))
            else:
                found[-1] = Step(chapter, found[-1].code, block["code"])
    return found


def divided(code: str) -> tuple[str, str]:
    """Divides a block that ends with the service: what is done before, and how it is served.

    Exported variables belong to the second part, since each part runs in a shell of its own.
    """
    *before, serve = code.splitlines(keepends=True)
    exports = [line for line in before if line.startswith("export ")]
    return "".join(line for line in before if line not in exports), "".join([*exports, serve])


class Reader:
    """Does what the tutorial says, in an empty folder."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        """Makes a reader who works in `folder` with the environment variables `variables`."""
        self.folder = folder
        self._port = free_port()
        self._variables = {**variables, "PORT": str(self._port), "NO_PROXY": "*"}

    def at_another_port(self) -> "Reader":
        """Returns the same reader, whose services listen on another port."""
        return Reader(self.folder, self._variables)

    def run(self, code: str) -> str:
        """Runs a block of shell; returns what it prints to standard output."""
        code = code.replace(ADDRESS, f"127.0.0.1:{self._port}").replace("curl ", "curl --silent ")
        done = subprocess.run(
            ["bash", "-euc", code],
            cwd=self.folder,
            env=self._variables,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    @contextmanager
    def serving(self, code: str) -> Iterator[None]:
        """Runs the block of shell that serves, for the duration of a `with` block."""
        served = re.sub(r"^(\w+=\S+ )?(?=distilled)", r"\1exec ", code, flags=re.MULTILINE)
        command = ["bash", "-euc", served]
        process = subprocess.Popen(command, cwd=self.folder, env=self._variables)
        try:
            wait_until_ready(f"http://127.0.0.1:{self._port}", process)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


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
    differing = sum(not has_same_shape(*each) for each in compared)
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


def build_wheel(folder: Path) -> Path:
    """Builds the wheel of the checkout into `folder`; returns its path."""
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _variables(folder: Path, wheel: Path) -> dict[str, str]:
    """Returns a reader's variables; each block finds the environment that the first one makes."""
    variables = environment()
    path = f"{folder / '.venv' / 'bin'}{os.pathsep}{variables.get('PATH', '')}"
    return {**variables, "PATH": path, "WHEEL": str(wheel)}
