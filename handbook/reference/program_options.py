"""Reads the options of a program from the signature of its function, without importing it."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from handbook.reference.json_schema import one_line

_ARGUMENT = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)  # of a chapter `Args:`


class Option(NamedTuple):
    """An option of a program: its name, its default as in the code, and its meaning."""

    name: str
    default: str
    meaning: str


def options(path: Path, function: str, shared: Path | None = None) -> Iterator[Option]:
    """Yields the options of the function `function` of the module `path`.

    A positional argument has its name in capitals. The meaning is the help text or, without one,
    that of the docstring. The default is empty where the code names a constant, unless `shared` is
    given: types and defaults are then looked up by name in both modules.
    """
    module = ast.parse(path.read_text(encoding="utf-8"))
    (found,) = (
        each for each in module.body if isinstance(each, ast.FunctionDef) and each.name == function
    )
    named = _named(ast.parse(shared.read_text("utf-8"))) | _named(module) if shared else {}
    described: dict[str, str] = dict(_ARGUMENT.findall(ast.get_docstring(found) or ""))
    for argument, default in _arguments(found.args):
        settings = _settings(_meant(argument.annotation, named))
        name = argument.arg
        if argument in found.args.kwonlyargs:
            name = f"--{settings.get('name', name).removeprefix('--').replace('_', '-')}"
        else:
            name = name.upper()
        meaning = one_line(settings.get("help", described.get(argument.arg, "")))
        yield Option(name, _literal(_meant(default, named)), f"{meaning[:1].upper()}{meaning[1:]}")


def _named(module: ast.Module) -> dict[str, ast.expr]:
    """Returns the values that a module gives to names outside of functions."""
    return {
        target.id: each.value
        for each in module.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }


def _meant(written: ast.expr | None, named: Mapping[str, ast.expr]) -> ast.expr | None:
    """Returns the value of a name of `named`, and everything else as it is written."""
    return named.get(written.id, written) if isinstance(written, ast.Name) else written


def _arguments(all_of: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Yields each argument of a function with its default, if it has one."""
    positional = [*all_of.posonlyargs, *all_of.args]
    required = len(positional) - len(all_of.defaults)
    yield from zip(positional, [*[None] * required, *all_of.defaults], strict=True)
    yield from zip(all_of.kwonlyargs, all_of.kw_defaults, strict=True)


def _settings(annotation: ast.expr | None) -> dict[str, str]:
    """Returns the texts among the settings of a `Parameter(...)` within an annotation."""
    nodes = ast.walk(annotation) if annotation else ()
    calls = (each for each in nodes if isinstance(each, ast.Call))
    return {
        word.arg: word.value.value
        for call in calls
        for word in call.keywords
        if word.arg and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
    }


def _literal(default: ast.expr | None) -> str:
    """Returns a default as code; empty for None, no elements and what is no literal."""
    call = default.args[0] if isinstance(default, ast.Call) and default.args else default
    try:
        value = ast.literal_eval(call) if call is not None else None
    except ValueError:
        return ""
    return "" if value is None or value == () else f"`{value}`"
