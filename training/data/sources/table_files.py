"""Finds the files of a table: one file, a folder of files, or the files that a pattern matches.

A folder may be partitioned: in `date=2026-05-01/part-0.parquet`, each row has the value
`2026-05-01` in the column `date`. So it is if the path names a partition's folder or file. A folder
may be a dataset of Hugging Face: a clone of its repository, or what `save_to_disk` wrote;
documentation and descriptions beside its data are left out.

Symbolic links to folders are followed, however the table is named. A link to a folder that it lies
in is refused, and so is one by which a file would be read twice.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

from training.errors import DataError
from training.stage import fingerprint

SUFFIXES = (".csv", ".parquet", ".arrow", ".inter", ".item")
_NOT_DATA = ("_", ".", "lost+found")  # `_SUCCESS`, `.a.csv.crc`, and what a disk has itself
_ALL: Sequence[str] = ("**", "*")  # the pattern that a folder stands for
_NULL = "__HIVE_DEFAULT_PARTITION__"  # a missing value in the name of a folder
_BESIDE_DATA = (  # names of files in a dataset of Hugging Face that have none of its rows
    "*.md",
    "LICENSE",
    "dataset_dict.json",
    "dataset_info.json",
    "dataset_infos.json",
    "state.json",
    "cache-*.arrow",  # results of `Dataset.map`, kept beside the data
)


@dataclass(frozen=True)
class TableFile:
    """A file of a table.

    Attributes:
        path: path of the file, with one of `SUFFIXES`.
        partition: values by column name, taken from folder names such as `date=2026-05-01`; None
            where the value is missing.
    """

    path: Path
    partition: Mapping[str, str | None]


def find_table_files(path: Path) -> tuple[TableFile, ...]:
    """Returns the files of the table `path`, in the order of their paths.

    `path` is a file, a folder or a pattern with `*`, `?`, `[…]` or `**`. A folder stands for all
    files in it and in its sub-folders, without those whose names begin with `_` or `.` and those of
    `_BESIDE_DATA`. What exists under the name of a pattern, or of its first folders, is no pattern.

    Raises:
        DataError: there is no such file, a file or folder is empty or not readable, a suffix is not
            one of `SUFFIXES`, or a link leads to nothing, to a folder above it, or to a file that
            is there already.
    """
    if path.is_dir():
        base, pattern = path, _ALL
    elif _is_pattern(path) and not path.exists():
        base = next(each for each in path.parents if not _is_pattern(each) or each.exists())
        pattern = path.relative_to(base).parts
    else:
        return (_table_file(path, _partitions_above(path)),)
    inside = _files_inside(base, pattern)
    above = _partitions_above(base / "file")
    files = tuple(_table_file(base / each, (*above, *each.parent.parts)) for each in inside)
    if not files:
        raise DataError(f"{path}: no file; a table needs at least one, {allowed_suffixes()}")
    return files


def table_stamps(path: Path) -> list[str]:
    """Returns a hash of each file of the table `path`, in the order of their paths.

    Each hash is the SHA-256 of the content, or of content and partition in a partitioned folder.

    Raises:
        DataError: there is no such file, a file is empty or not readable, or its suffix is not one
            of `SUFFIXES`.
    """
    return [_stamp(file) for file in find_table_files(path)]


def file_stamp(path: Path) -> str:
    """Returns the SHA-256 hash of a file that the user has named.

    Raises:
        DataError: the file is missing, empty or not readable.
    """
    check_readable(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(file: TableFile) -> str:
    content = file_stamp(file.path)
    return fingerprint(content, dict(file.partition)) if file.partition else content


def check_readable(path: Path) -> None:
    """Raises DataError if a file that the user has named is missing, empty or not readable."""
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if is_empty:
        raise DataError(f"{path}: empty file")


def allowed_suffixes() -> str:
    """Returns the suffixes of a table's files, for messages."""
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def _is_pattern(path: Path) -> bool:
    return any(character in str(path) for character in "*?[")


def _files_inside(base: Path, pattern: Sequence[str]) -> list[Path]:
    """Returns the data files below `base` that `pattern` matches, relative to `base`, sorted."""
    real = base.resolve()
    found = _matches(base, pattern, (*reversed(real.parents), real))
    files = sorted({each for each in found if _is_data(each.name)})
    _refuse_read_twice(files)
    return [each.relative_to(base) for each in files]


def _matches(folder: Path, pattern: Sequence[str], above: Sequence[Path]) -> Iterator[Path]:
    """Yields the files below `folder` that `pattern` matches.

    Args:
        folder: an existing folder, perhaps by a link.
        pattern: parts of the pattern; `**` stands for any number of folders.
        above: real paths of the folders that lead to `folder`; the last is its own.

    Raises:
        DataError: a link leads to nothing or to a folder above it, or a folder is not readable.
    """
    name, *rest = pattern
    is_any = name == "**"
    if is_any:
        yield from _matches(folder, rest or ["*"], above)
    for entry in _entries(folder, "*" if is_any else name):
        if not entry.is_dir():
            if not is_any and not rest:
                yield Path(entry.path)
        elif is_any or rest:
            real = Path(entry.path).resolve() if entry.is_symlink() else above[-1] / entry.name
            if real in above:
                raise DataError(f"{entry.path}: leads back to {real}; remove the link")
            yield from _matches(Path(entry.path), pattern if is_any else rest, (*above, real))


def _entries(folder: Path, name: str) -> "list[os.DirEntry[str]]":
    """Returns the files and folders in `folder` that `name` matches, without what is no data."""
    try:
        with os.scandir(folder) as entries:
            found = [each for each in entries if fnmatchcase(each.name, name)]
        shown = [each for each in found if not each.name.startswith(_NOT_DATA)]
        for link in (Path(each.path) for each in shown if each.is_symlink()):
            if not link.exists():
                raise DataError(f"{link}: a link to {link.readlink()}, which is missing")
        return [each for each in shown if each.is_dir() or each.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []  # such as the first folder of a pattern
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None


def _is_data(name: str) -> bool:
    return not any(fnmatchcase(name, each) for each in _BESIDE_DATA)


def _refuse_read_twice(files: Sequence[Path]) -> None:
    """Raises DataError if two of `files` are one, because a link leads to it or to its folder."""
    known: dict[Path, Path] = {}
    for file in files:
        first = known.setdefault(file.resolve(), file)
        if first != file:
            raise DataError(
                f"{file}: the same file as {first}, by a link; remove the link, or name a pattern "
                "without it"
            )


def _partitions_above(file: Path) -> list[str]:
    """Returns the names of the folders right above `file` that have the form `column=value`."""
    names = [*takewhile(lambda name: "=" in name, reversed(file.parent.parts))]
    return names[::-1]


def _table_file(path: Path, folders: Iterable[str]) -> TableFile:
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: suffix {path.suffix!r}: must be {allowed_suffixes()}")
    check_readable(path)
    pairs = (name.split("=", 1) for name in folders if "=" in name)
    return TableFile(
        path,
        {unquote(name): None if value == _NULL else unquote(value) for name, value in pairs},
    )
