"""Writes docs/reference/programs.md: make targets, programs of `python -m`, scripts for Docker."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.registry import benchmark_names
from handbook.reference.json_schema import one_line, table
from handbook.reference.program_options import options
from proofs.__main__ import proof_names

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("benchmarks", "distilled_recommender", "export", "handbook", "proofs"),
    *("release", "service", "training"),
)
SHARED = ROOT / "training" / "settings" / "options.py"
OTHERS = ("export.compare", "training.ladder.regenerate", "training.ladder.witness")
INTRODUCTION = """\
# Programs

[Commands](../commands.md) describes `distilled-recommender`, which most people need. This page
lists everything else that can be run in a checkout. `python -m NAME --help` lists the options. A
default that is empty here is computed, or there is none.

`make reference` writes this page from the Makefile, from the first lines of modules and scripts,
from the signatures of release, proofs and other programs, and from `deploy/teaching/teach.yaml`.
"""


def page() -> str:
    """Returns the text of the page."""
    parts = (
        ("`make`", ("target", "what it does"), _targets()),
        ("Variables of `make`", ("variable", "default", "meaning"), _variables()),
        ("`python -m`", ("module", "what it does"), _modules()),
        ("`python -m release`", ("option", "default", "meaning"), _of_release()),
        ("`python -m proofs NAME`", ("proof", "what it proves"), _named("proofs", proof_names())),
        ("Options of proofs", ("proof", "option", "default", "meaning"), _of_proofs()),
        (
            "`python -m benchmarks NAME`",
            ("benchmark", "what it measures"),
            _named("benchmarks/measures", benchmark_names()),
        ),
        ("Options of other programs", ("module", "option", "default", "meaning"), _of_others()),
        ("Scripts of the Compose stack", ("script", "what it does"), _scripts()),
        ("Values of `deploy/teaching`", ("variable", "default", "meaning"), _of_teaching()),
    )
    chapters = (f"## {title}\n\n{table(head, rows)}\n" for title, head, rows in parts)
    return "\n".join((INTRODUCTION, *chapters))


def _targets() -> Iterator[Sequence[str]]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for names, meaning in re.findall(r"^([a-z][^:\n]*):.*?## (.+)$", makefile, re.MULTILINE):
        yield f"`make {names.strip()}`", meaning


def _variables() -> Iterator[Sequence[str]]:
    """Yields each variable of the Makefile that `make NAME=VALUE` is meant to change."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.findall(r"((?:^# .*\n)*)^([A-Z_]+) \?= ?(.*)$", makefile, re.MULTILINE)
    for comment, name, default in found:
        meaning = one_line(comment.replace("\n# ", " ").removeprefix("# "))
        yield f"`{name}`", f"`{default}`" if default and "$(" not in default else "", meaning


def _of_release() -> Iterator[Sequence[str]]:
    for each in options(ROOT / "release" / "__main__.py", "command"):
        yield f"`{each.name}`", each.default, each.meaning


def _of_proofs() -> Iterator[Sequence[str]]:
    for name in proof_names():
        for each in options(_path("proofs", name), "prove"):
            yield f"`{name}`", f"`{each.name}`", each.default, each.meaning


def _of_others() -> Iterator[Sequence[str]]:
    """Yields the options of the programs that `distilled-recommender` does not have."""
    for name in OTHERS:
        for each in options(ROOT / f"{name.replace('.', '/')}.py", "command", SHARED):
            yield f"`{name}`", f"`{each.name}`", each.default, each.meaning


def _of_teaching() -> Iterator[Sequence[str]]:
    """Yields each variable of the pods that teach in parts; its meaning is the line's comment."""
    job = (ROOT / "deploy" / "teaching" / "teach.yaml").read_text(encoding="utf-8")
    found = re.findall(
        r'- \{name: ([A-Z_]+), value: "?([^"}]*)"?\}(?:  # (.*))?$', job, re.MULTILINE
    )
    for name, default, meaning in found:
        yield f"`{name}`", f"`{default}`", meaning


def _modules() -> Iterator[Sequence[str]]:
    """Yields each module that can be run, with the first sentence of its docstring."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if re.search("^if __name__ ==", source, re.MULTILINE):
                names = path.relative_to(ROOT).with_suffix("").parts
                name = ".".join(names).removesuffix(".__main__")
                yield f"`{name}`", _first_line(ast.get_docstring(ast.parse(source)) or "")


def _named(folder: str, names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields each module or package of a folder, with the first sentence of its docstring."""
    for name in names:
        source = _path(folder, name).read_text(encoding="utf-8")
        yield f"`{name}`", _first_line(ast.get_docstring(ast.parse(source)) or "")


def _path(folder: str, name: str) -> Path:
    """Returns the path of the module or package `name` of a folder."""
    module = ROOT / folder / f"{name}.py"
    return module if module.exists() else ROOT / folder / name / "__init__.py"


def _scripts() -> Iterator[Sequence[str]]:
    """Yields each script of `docker`, with its first comment."""
    for path in sorted((ROOT / "docker").iterdir()):
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
        if source.startswith("#!/bin/sh\n# "):
            comment = re.findall(r"^# (.*)$", source.partition("\n\n")[0], re.MULTILINE)
            yield f"`{path.relative_to(ROOT)}`", " ".join(comment)


def _first_line(docstring: str) -> str:
    line = one_line(docstring.partition("\n\n")[0])
    return re.sub(r"^`[^`]+`: (\w)", lambda match: match[1].upper(), line)
