"""No module of ours calls what can run the code of a file that it reads."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("benchmarks", "clients", "distilled_recommender", "docker", "export", "proofs"),
    *("service", "training"),
)
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"torch.load", "torch.save", "read_pickle", "to_pickle", "yaml.load", "yaml.unsafe_load"}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(node: ast.AST) -> set[str]:
    names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
    names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return {name.partition(".")[0] for name in names}


def is_unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    options = {each.arg: ast.unparse(each.value) for each in call.keywords}
    if name in {"np.load", "numpy.load", "np.save"}:
        return options.get("allow_pickle") != "False"
    return any(name.endswith(each) for each in CALLS) or options.get("allow_pickle") == "True"


def test_no_module_imports_a_library_of_pickles() -> None:
    files = list(sources())
    assert len(files) > 200
    found = {path for path, tree in files for node in ast.walk(tree) if imported(node) & MODULES}
    assert found == set()


def test_no_call_can_read_a_pickle() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and is_unsafe(node)
    }
    assert found == set()
