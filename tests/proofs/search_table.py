"""Rows of the table of searches in docs/scale.md, as the record of `search_cost` derives them."""

import json
from collections.abc import Mapping, Sequence

from proofs.record import FOLDER
from proofs.search_cost import SIZES, searches_of

Rows = Sequence[Sequence[str]]


def told_search_rows() -> Rows:
    """Returns the cells of the table's rows in docs/scale.md."""
    lines = (FOLDER.parent / "scale.md").read_text(encoding="utf-8").splitlines()
    _, _, *rows = lines[lines.index("## Search") :][_first_row(lines) :]
    found = []
    for line in rows:
        if not line.startswith("|"):
            break
        found.append([each.strip() for each in line.strip("|").split("|")])
    return found


def measured_search_rows() -> Rows:
    """Returns these cells as the record has them."""
    figures = json.loads((FOLDER / "search_cost.json").read_text(encoding="utf-8"))["figures"]
    values = {each["name"]: each["value"] for each in figures}
    return [_row(size, name, values) for size in SIZES for name in searches_of(size)]


def _first_row(lines: Sequence[str]) -> int:
    """Returns the number of lines from the heading to the head of the table."""
    section = lines[lines.index("## Search") :]
    return next(place for place, line in enumerate(section) if line.startswith("|"))


def _row(size: int, name: str, values: Mapping[str, float]) -> Sequence[str]:
    about = f"{size:,} items, {name}: "
    return [
        f"{size:,}",
        name,
        f"{values[about + 'p50']:.2f}",
        f"{values[about + 'p99']:.2f}",
        f"{values[about + 'recall@20']:.3f}",
        f"{values[about + 'built in'] / 60:.1f}",
    ]
