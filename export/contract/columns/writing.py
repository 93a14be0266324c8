"""Writes the columns of a bundle's items, from the lines of `items.jsonl`."""

import json
import mmap
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from export.contract.columns.layout import COLUMNS, HASH_PARTS, hash_of, write_header
from export.contract.items import Item, parse_item
from export.contract.records import MAX_LINE_LENGTH, MAX_LINES, BundleError


@dataclass
class _Found:
    """The columns of the lines read so far, but for those of titles."""

    starts: "array[int]" = field(default_factory=lambda: array("Q", [0]))
    hashes: "array[int]" = field(default_factory=lambda: array("I"))
    checks: "array[int]" = field(default_factory=lambda: array("Q"))
    popularity: "array[int]" = field(default_factory=lambda: array("q"))
    unread: "array[int]" = field(default_factory=lambda: array("I"))
    postings: "dict[tuple[str, str], array[int]]" = field(default_factory=dict)

    def add(self, item: Item, length: int) -> None:
        """Adds the next item, whose line has so many bytes."""
        self.starts.append(self.starts[-1] + length)
        first, check = HASH_PARTS.unpack(hash_of(item.item_id))
        self.hashes.append(first)
        self.checks.append(check)
        self.popularity.append(item.popularity)
        if not item.is_read:
            self.unread.append(len(self.hashes))
        for name, values in item.attributes.items():
            for value in values:
                self.postings.setdefault((name, value), array("I")).append(len(self.hashes))


class _Lines:
    """The mapped file `items.jsonl`."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path, self._content = path, content

    def collect(self) -> _Found:
        """Reads and checks all lines.

        Raises:
            BundleError: a line is not an item, or there are too many.
        """
        found = _Found()
        for number, line in enumerate(iter(self._content.readline, b""), start=1):
            place = f"{self.path}: line {number}"
            if number > MAX_LINES or len(line) > MAX_LINE_LENGTH:
                raise BundleError(
                    f"{place}: {len(line):,} bytes; at most {MAX_LINES:,} lines of "
                    f"{MAX_LINE_LENGTH:,} bytes are read"
                )
            found.add(parse_item(place, line.removesuffix(b"\n")), len(line))
        return found

    def value(self, found: _Found, row: int, name: str) -> str:
        """Returns the field `name` of the line `row`, from 0."""
        line = self._content[found.starts[row] : found.starts[row + 1]]
        value: str = json.loads(line)[name]
        return value


def write_columns(items: Path, path: Path) -> None:
    """Writes the columns of the file `items`, one item a line, to the file `path`.

    Raises:
        BundleError: a line is not an item, or an id occurs twice.
    """
    with items.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        lines = _Lines(items, content)
        found = lines.collect()
        by_hash = sorted(range(len(found.hashes)), key=found.hashes.__getitem__)
        _check_ids(lines, found, by_hash)
        # The sort is stable in reverse, too: items of equal popularity stay in index order.
        order = range(len(found.popularity))
        by_popularity = sorted(order, key=found.popularity.__getitem__, reverse=True)
        titles = path.with_suffix(".titles")
        try:
            columns = {
                "starts": found.starts,
                "title_starts": _write_titles(titles, lines, found, by_popularity),
                "checks": array("Q", map(found.checks.__getitem__, by_hash)),
                "hashes": array("I", map(found.hashes.__getitem__, by_hash)),
                "items_by_hash": array("I", (row + 1 for row in by_hash)),
                "by_popularity": array("I", (row + 1 for row in by_popularity)),
                "unread": found.unread,
                "postings": _joined(found.postings),
                "values": array("B", _values(found.postings)),
            }
            _write(path, columns, titles)
        finally:
            titles.unlink(missing_ok=True)


def check_columns(items: Path, path: Path, scratch: Path) -> None:
    """Makes the columns of the file `items` again, in the file `scratch`, and compares `path`.

    Raises:
        BundleError: a line of `items` is not an item, an id occurs twice, or `path` has other
            columns.
    """
    write_columns(items, scratch)
    with path.open("rb") as one, scratch.open("rb") as other:
        while block := one.read(2**20):
            if block != other.read(2**20):
                raise BundleError(f"{path}: not the columns of {items.name}")
        if other.read(1):
            raise BundleError(f"{path}: ends before the columns of {items.name} do")


def _check_ids(lines: _Lines, found: _Found, by_hash: Sequence[int]) -> None:
    for _, same in groupby(by_hash, key=found.hashes.__getitem__):
        rows = list(same)
        if len(rows) == 1:
            continue
        checks = set[int]()
        for row in rows:
            if found.checks[row] in checks:
                item_id = lines.value(found, row, "item_id")
                raise BundleError(f"{lines.path}: line {row + 1}: item_id {item_id!r} occurs twice")
            checks.add(found.checks[row])


def _write_titles(
    path: Path, lines: _Lines, found: _Found, by_popularity: Sequence[int]
) -> "array[int]":
    """Writes the case-folded titles to the file `path`; returns the place of each, and the end."""
    starts = array("Q", [0])
    with path.open("wb") as file:
        for row in by_popularity:
            title = lines.value(found, row, "title").casefold().replace("\n", " ")
            starts.append(starts[-1] + file.write(f"{title}\n".encode()))
    return starts


def _joined(postings: "Mapping[tuple[str, str], array[int]]") -> "array[int]":
    joined = array("I")
    for each in postings.values():
        joined.extend(each)
    return joined


def _values(postings: "Mapping[tuple[str, str], array[int]]") -> bytes:
    listed = [[name, value, len(each)] for (name, value), each in postings.items()]
    return json.dumps(listed, ensure_ascii=False).encode()


def _write(path: Path, columns: "Mapping[str, array[int]]", titles: Path) -> None:
    """Writes the columns to the file `path`; the last one, of titles, is in a file of its own."""
    sizes = {name: len(each) for name, each in columns.items()}
    with path.open("wb") as file, titles.open("rb") as last:
        write_header(file, sizes | {"titles": titles.stat().st_size})
        for name in COLUMNS:
            if name in columns:
                columns[name].tofile(file)
        _copy(last, file)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    while block := source.read(2**20):
        target.write(block)
