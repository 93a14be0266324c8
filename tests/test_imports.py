"""The shape of the packages: no import cycle, and no folder that is too full to find things in."""

from collections import defaultdict
from collections.abc import Mapping, Set
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
ROOTS = (
    *("distilled_recommender", "service", "export", "training"),
    *("benchmarks", "proofs", "handbook", "release"),
)
MAX_MODULES = 12


@cache
def imports() -> grimp.ImportGraph:
    """The imports between all modules, also those within functions and for type checking."""
    return grimp.build_graph(*ROOTS)


def modules_of(root: str) -> dict[str, Set[str]]:
    """The modules of `root`, each with the modules that it imports."""
    graph = imports()
    modules = {name for name in graph.modules if name == root or name.startswith(f"{root}.")}
    assert len(modules) > 2, f"{root} was not found"
    return {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}


def parts_of(root: str) -> dict[str, set[str]]:
    """The packages and modules directly below `root`, each with those that it imports."""
    parts: dict[str, set[str]] = defaultdict(set)
    for module, imported in modules_of(root).items():
        part = part_of(module)
        parts[part] |= {part_of(each) for each in imported} - {part}
    return parts


def part_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def cycle_in(arrows: Mapping[str, Set[str]]) -> list[str]:
    """A cycle, its first name repeated at its end; empty if there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_cycle_is_found_where_there_is_one() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


@pytest.mark.parametrize("root", ROOTS)
def test_no_modules_import_each_other_in_a_cycle(root: str) -> None:
    assert cycle_in(modules_of(root)) == []


@pytest.mark.parametrize("root", ["service", "training"])
def test_no_packages_import_each_other_in_a_cycle(root: str) -> None:
    assert cycle_in(parts_of(root)) == []


@pytest.mark.parametrize("root", ROOTS)
def test_no_folder_has_more_modules_than_one_can_overlook(root: str) -> None:
    count: dict[str, int] = defaultdict(int)
    for path in (ROOT / root).rglob("*.py"):
        if path.name != "__init__.py":
            count[str(path.parent.relative_to(ROOT))] += 1
    assert count
    assert {folder: number for folder, number in count.items() if number > MAX_MODULES} == {}
