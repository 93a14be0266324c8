"""Rows of the tables of docs/scale.md, as the document has them and as a record derives them."""

import json
import re
from collections.abc import Sequence

from proofs.fixtures.data.tables import MILLIONS, PER_ITEM, PER_USER
from proofs.record import FOLDER

Rows = Sequence[Sequence[str]]


def told_rows(stage: str) -> Rows:
    """Returns the cells of the rows of `stage` in docs/scale.md, without units and marks."""
    lines = (FOLDER.parent / "scale.md").read_text(encoding="utf-8").splitlines()
    return [re.sub(r"[`,|]| GiB", "", line).split() for line in lines if f"| `{stage}` |" in line]


def measured_rows(stage: str, record: str, rate: str, minutes: int, rounded: int) -> Rows:
    """Returns these cells as the record has them.

    Args:
        stage: name of the stage.
        record: name of the record.
        rate: name of the rate in the record.
        minutes: number of decimals of minutes.
        rounded: number of digits of the rate that are rounded away.
    """
    figures = json.loads((FOLDER / f"{record}.json").read_text(encoding="utf-8"))["figures"]
    values = {each["name"]: each["value"] for each in figures}

    def row(millions: int) -> Sequence[str]:
        of = f"{millions} million interactions: "
        return [
            stage,
            str(millions),
            str(millions * 1_000_000 // PER_USER),
            str(millions * 1_000_000 // PER_ITEM),
            f"{values[of + 'peak resident memory']:.2f}",
            f"{values[of + 'peak private memory']:.2f}",
            f"{values[of + 'processor time'] / 60:.{minutes}f}",
            f"{round(values[of + rate], -rounded):.0f}",
        ]

    return [row(int(each)) for each in MILLIONS]
