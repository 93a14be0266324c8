"""Reads the names of figures from the code of a proof, as far as it spells them out."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import proofs

ANY = "*"
"""What stands in a name for a part that the code computes."""

Names = Mapping[str, ast.expr]
"""The value of each variable."""


def code_of(proof: str) -> Sequence[str]:
    """Returns the content of the modules of a proof."""
    folder = Path(proofs.__path__[0]) / proof
    paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    return [each.read_text(encoding="utf-8") for each in paths]


def names_in(code: str) -> Iterator[str]:
    """Yields the names of the figures that a module makes; `ANY` is a part that is computed.

    A name that is computed as a whole is left out.
    """
    for function in ast.walk(ast.parse(code)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and call.args and _makes_a_figure(call):
                    name = _text(call.args[0], _assigned(function, call.lineno))
                    if name.strip(ANY):
                        yield name


def is_like(name: str, figure: str) -> bool:
    """Whether a figure may be the one that the code names `name`."""
    pattern = ".*".join(map(re.escape, name.split(ANY)))
    return re.fullmatch(pattern, figure) is not None


def _makes_a_figure(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id.lower().endswith("figure")


def _assigned(function: ast.AST, line: int) -> Names:
    """Returns the value that each variable has last got above a line."""
    found = (each for each in ast.walk(function) if isinstance(each, ast.Assign))
    above = sorted((each for each in found if each.lineno < line), key=lambda each: each.lineno)
    return {
        target.id: each.value
        for each in above
        for target in each.targets
        if isinstance(target, ast.Name)
    }


def _text(value: ast.expr, assigned: Names) -> str:
    """Returns what a value is, with `ANY` for what is computed."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.Name) and value.id in assigned:
        inner = {name: of for name, of in assigned.items() if name != value.id}
        return _text(assigned[value.id], inner)
    if isinstance(value, ast.FormattedValue):
        return _text(value.value, assigned)
    if isinstance(value, ast.JoinedStr):
        return "".join(_text(part, assigned) for part in value.values)
    return ANY
