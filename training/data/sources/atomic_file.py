"""Interprets the columns of RecBole's atomic files, such as `ml-100k.inter` and `ml-100k.item`.

The first line names the columns and their types: `item_id:token`, `movie_title:token_seq`,
`timestamp:float`. Values are separated by tabs; those of a sequence by spaces.
"""

from pathlib import Path

import pandas as pd

from training.errors import DataError

TYPES = ("token", "token_seq", "float", "float_seq")
TITLE = "title"


def with_plain_columns(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Converts the columns of an atomic file to those of a plain table of text.

    Column names lose their types. If no column is named `title`, but exactly one name ends in
    `_title`, this column becomes `title`. The values of any other `_seq` column are joined by `|`,
    as in a table of items.

    Args:
        path: path of the file, for messages.
        rows: rows of the file as text, with the names of its first line.

    Raises:
        DataError: a column has no type or one that RecBole does not know, or two columns have the
            same name.
    """
    types = _types_of(path, [str(each) for each in rows.columns])
    table = rows.set_axis(list(types), axis=1)
    titles = [name for name in types if name.endswith(f"_{TITLE}")]
    if TITLE not in types and len(titles) == 1:
        table = table.rename(columns={titles[0]: TITLE})
    for name in table.columns:
        if types.get(name, "").endswith("_seq") and name != TITLE:
            table[name] = table[name].str.split().str.join("|")
    return table


def _types_of(path: Path, header: list[str]) -> dict[str, str]:
    """Returns the type of each column by its name.

    Raises:
        DataError: a column has no type or one that RecBole does not know, or two columns have the
            same name.
    """
    types = {}
    for column in header:
        name, _, kind = column.rpartition(":")
        if not name or kind not in TYPES or name in types:
            raise DataError(
                f"{path}: column {column!r}: must be NAME:TYPE, with a name that no other "
                f"column has and a type of {', '.join(TYPES)}"
            )
        types[name] = kind
    return types
