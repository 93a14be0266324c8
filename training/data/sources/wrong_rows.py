"""Collects the wrong rows of a table that is read in batches, for one error at the end."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from training.data.raw import Origin
from training.errors import DataError

SHOWN_ROWS = 3  # maximum number of rows that an error message shows


@dataclass
class _Found:
    """The rows with one problem: their number, and the first rows with their values."""

    count: int = 0
    shown: list[tuple[int, object]] = field(default_factory=list)


class WrongRows:
    """The wrong rows of a table, by problem.

    The problem that was added first is the first to be reported.
    """

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}

    def add(
        self, problem: str, values: "pd.Series[str]", wrong: "pd.Series[bool]", start: int = 0
    ) -> None:
        """Adds the wrong rows of a batch.

        Args:
            problem: description of what is wrong, for the message.
            values: `[rows]`, value to show in the message for each row.
            wrong: `[rows]`, whether a row is wrong.
            start: number of the table's rows before this batch.
        """
        rows = np.flatnonzero(wrong)
        found = self._found.setdefault(problem, _Found())
        for row in rows[: SHOWN_ROWS - len(found.shown)]:
            found.shown.append((start + int(row) + 1, values.iloc[row]))
        found.count += len(rows)

    def forget(self, problem: str) -> None:
        """Removes all rows that were added with this problem."""
        self._found.pop(problem, None)

    def refuse(self, origin: Origin) -> None:
        """Raises DataError if any row is wrong; the message shows the first `SHOWN_ROWS` of them.

        Row numbers count from 1 after the header.
        """
        for problem, found in self._found.items():
            if found.count:
                shown = ", ".join(
                    f"{origin.row(row)} ({_shown(value)})" for row, value in found.shown
                )
                others = found.count - len(found.shown)
                more = f" and {others} more" if others else ""
                raise DataError(f"{origin}: {problem}: {shown}{more}")


def refuse_rows(
    table: Path | Origin, problem: str, values: "pd.Series[str]", wrong: "pd.Series[bool]"
) -> None:
    """Raises DataError if any row of a table that is read at once is wrong.

    Args:
        table: the table, for the message; with its files, if it has several.
        problem: description of what is wrong, for the message.
        values: `[rows]`, value to show in the message for each row.
        wrong: `[rows]`, whether a row is wrong.
    """
    rows = WrongRows()
    rows.add(problem, values, wrong)
    rows.refuse(table if isinstance(table, Origin) else Origin(str(table)))


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else "no value"
