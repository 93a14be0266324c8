"""Makes a page of the site from a Jupyter notebook: its text and code, without outputs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
PAGE = "notebook.md"
_DOWNLOAD = f"[Download the notebook]({NOTEBOOK.name})."


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook.

    Attributes:
        source: its text or code.
        is_code: whether it is code.
        tags: its tags.
    """

    source: str
    is_code: bool = True
    tags: tuple[str, ...] = ()

    @property
    def is_shell(self) -> bool:
        """Whether each line is a command of the shell, which Jupyter marks by `!`."""
        return self.is_code and all(line.startswith("!") for line in self.source.splitlines())

    @property
    def commands(self) -> list[str]:
        """Commands of a shell cell, without their marks."""
        return [line.removeprefix("!") for line in self.source.splitlines()]


def read_cells(text: str) -> list[Cell]:
    """Returns the cells of a notebook, which is JSON of format 4."""
    found: list[dict[str, Any]] = json.loads(text)["cells"]
    return [
        Cell(
            "".join(each["source"]),
            each["cell_type"] == "code",
            tuple(each["metadata"].get("tags", ())),
        )
        for each in found
    ]


def page(text: str) -> str:
    """Returns the Markdown of a notebook; a link to the notebook follows its first cell."""
    first, *others = (_markdown(each) for each in read_cells(text))
    return "\n\n".join([first, _DOWNLOAD, *others]) + "\n"


def _markdown(cell: Cell) -> str:
    return "\n".join(_lines(cell))


def _lines(cell: Cell) -> Iterator[str]:
    if not cell.is_code:
        yield cell.source
        return
    yield "```sh" if cell.is_shell else "```python"
    yield "\n".join(cell.commands) if cell.is_shell else cell.source
    yield "```"
