"""Reads RecBole's atomic files, such as `ml-100k.inter` and `ml-100k.item`, as tables of text.

The first line names the columns and their types: `item_id:token`, `movie_title:token_seq`,
`timestamp:float`. Values are separated by tabs; those of a sequence by spaces.
"""

import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa

from training.errors import DataError

TYPES = ("token", "token_seq", "float", "float_seq")
TITLE = "title"


def read_atomic(path: Path, content: bytes) -> pa.Table:
    """Reads the content of an atomic file as a table of text.

    Column names lose their types. If no column is named `title`, but exactly one name ends in
    `_title`, this column becomes `title`. The values of any other `_seq` column are joined by `|`,
    as in a table of items.

    Args:
        path: path of the file, for messages.
        content: bytes of the file.

    Raises:
        DataError: the content is not UTF-8 or not of this form.
    """
    try:
        lines = io.StringIO(content.decode("utf-8-sig"))
        table = pd.read_csv(
            lines, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: not an atomic file of RecBole: {error}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: data rows have more values than the header has names")
    types = _types_of(path, [str(each) for each in table.columns])
    table.columns = pd.Index(list(types))
    titles = [name for name in types if name.endswith(f"_{TITLE}")]
    if TITLE not in types and len(titles) == 1:
        table = table.rename(columns={titles[0]: TITLE})
    for name in table.columns:
        if types.get(name, "").endswith("_seq") and name != TITLE:
            table[name] = table[name].str.split().str.join("|")
    return pa.Table.from_pandas(table, preserve_index=False)


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
