"""A short form of `python -m proofs rules`, and the independence of its reference."""

import ast
from pathlib import Path

from proofs import rules
from proofs.rules import prove


def test_random_requests_with_rules_get_the_lists_of_a_direct_computation() -> None:
    figures = {each.name: each for each in prove(requests=100)}
    assert figures["recommendations: compared"].value == 100
    assert [each.name for each in figures.values() if not each.holds] == []


def test_the_reference_imports_nothing_of_the_service() -> None:
    path = Path(rules.__file__).parent / "reference.py"
    imports = [
        each
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.Import | ast.ImportFrom)
    ]
    names = {alias.name for each in imports for alias in each.names}
    modules = {each.module for each in imports if isinstance(each, ast.ImportFrom)}
    assert modules | names >= {"numpy", "onnxruntime"}
    assert not [each for each in modules | names if (each or "").startswith(("service", "export"))]
