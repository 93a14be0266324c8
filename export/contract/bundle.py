"""Reads and writes bundles, the files that training passes to the service.

A bundle is a folder with these files:

    model.onnx          the ranking graph
    plain.onnx          the common-case graph; absent where it would not save time
    items.jsonl         the items that the graphs rank
    histories.jsonl     real histories, with which the service warms up
    table.npy, item_codes_by_block.npy   large constants of the ranking graph; absent where it holds
                        them itself
    item_columns.safetensors   columns of items.jsonl, with which it need not be parsed; only for a
                        large catalog
    item_encoder.onnx   makes vectors of added items; absent for a student without LLM embeddings
    manifest.json       describes the bundle
    manifest.json.minisig   signature of the manifest; absent if the bundle is not signed

The manifest stores the hash of every other file except the signature, and its `model_version` is a
hash of its other fields. So a change of one byte in any of these files is detected. The graphs'
inputs and outputs are in `export.contract.tensors`. This module imports the standard library only.
"""

import mmap
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, Unpack

from export.contract.columns.layout import COLUMNS_FROM, open_columns
from export.contract.columns.mapped_items import MappedItems
from export.contract.columns.writing import write_columns
from export.contract.folders import folder_identity, locked, readable_folder, whole_folder
from export.contract.items import Item as Item
from export.contract.items import line_of, parse_histories, parse_items
from export.contract.layout import MAX_MANIFEST_SIZE, MAX_SIGNATURE_SIZE, max_size
from export.contract.layout import BundleLayout as BundleLayout
from export.contract.manifest import ABSENT_BEFORE_4, SCHEMA_VERSION, render, with_version
from export.contract.manifest import Figure as Figure
from export.contract.manifest import Manifest as Manifest
from export.contract.manifest import parse_manifest as _parse_manifest
from export.contract.reading import (
    UnreadableFileError,
    check_hash,
    copy_file,
    map_verified,
    open_verified,
    read_file,
    read_verified,
    sha256_of,
)
from export.contract.records import BundleError as BundleError
from export.contract.records import shown, write_lines

_MAX_REPLACEMENTS = 1_000


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been verified.

    Attributes:
        manifest: the bundle's description.
        items: all items, in the order of their item indices; the first has index 1. `MappedItems`
            if the bundle has columns, else a tuple.
        histories: real histories as item ids, oldest first; can be empty.
        folder: the folder that the bundle was read from. The `read_…` methods read graphs from it.
    """

    manifest: Manifest
    items: Sequence[Item]
    histories: tuple[tuple[str, ...], ...]
    folder: Path

    def read_model(self) -> bytes:
        """Reads the content of the ranking graph's file and verifies its hash.

        Raises:
            BundleError: the hash is not the one in the manifest: the folder was replaced or changed
                after this bundle was loaded.
        """
        return _read_verified(BundleLayout(self.folder).model, self.manifest)

    def read_common_case(self) -> bytes | None:
        """Reads the content of the common-case graph's file and verifies its hash.

        Returns None if the bundle has no common-case graph.

        Raises:
            BundleError: the hash is not the one in the manifest: the folder was replaced or changed
                after this bundle was loaded.
        """
        return self._read_optional(BundleLayout(self.folder).common_case)

    def read_item_encoder(self) -> bytes | None:
        """Reads the content of the item encoder's file and verifies its hash.

        Returns None if the bundle has no item encoder.

        Raises:
            BundleError: the hash is not the one in the manifest: the folder was replaced or changed
                after this bundle was loaded.
        """
        return self._read_optional(BundleLayout(self.folder).item_encoder)

    def map_tables(self) -> dict[str, mmap.mmap]:
        """Maps the ranking graph's large constants into memory and verifies their hashes.

        Returns the content of each .npy file by the name of the constant; empty, if the graph holds
        all constants itself.

        Raises:
            BundleError: the hash is not the one in the manifest: the folder was replaced or changed
                after this bundle was loaded.
        """
        paths = BundleLayout(self.folder).tables
        stored = [path for path in paths if path.name in self.manifest.sha256]
        return {path.stem: _map_verified(path, self.manifest) for path in stored}

    def _read_optional(self, path: Path) -> bytes | None:
        return _read_verified(path, self.manifest) if path.name in self.manifest.sha256 else None


class Trust(Protocol):
    """Protocol of a signature check, which decides whether a bundle is accepted.

    `export.contract.signatures.TrustedKeys` implements it with public keys.
    """

    def verify(self, manifest: Path, content: bytes) -> None:
        """Checks the signature of a manifest.

        Args:
            manifest: path of the manifest, with the signature in the same folder.
            content: the bytes of the manifest.

        Raises:
            BundleError: the bundle is not accepted.
        """


class StudentFacts(TypedDict):
    """The manifest's fields about the student and its metrics; `Manifest` describes each field."""

    student: str
    max_history_length: int
    metrics: Mapping[str, Any]
    figures: NotRequired[Sequence[Figure]]
    verdict: NotRequired[str]


class Facts(StudentFacts):
    """The manifest's fields that callers pass to `save_bundle`; `Manifest` describes each field."""

    parity_error: float
    provenance: Mapping[str, Any]
    origin: NotRequired[str]
    protocol: NotRequired[str]
    trained_until: NotRequired[int | None]
    scorer: NotRequired[Mapping[str, Any] | None]


def save_bundle(
    folder: Path,
    model: Path,
    items: Iterable[Item],
    *,
    histories: Iterable[Sequence[str]] = (),
    common_case: Path | None = None,
    item_encoder: Path | None = None,
    tables: Sequence[Path] = (),
    columns_from: int = COLUMNS_FROM,
    **facts: Unpack[Facts],
) -> Manifest:
    """Writes a bundle beside `folder`, verifies it, and then replaces `folder` with it.

    If the process is killed, `load_bundle` still finds the old bundle or the new one, complete.
    Of several processes that save in one place, each waits for the one before.

    Args:
        folder: the bundle's folder.
        model: file of the ranking graph, which is copied.
        items: the items, in the order of their item indices from 1.
        histories: real histories as item ids, oldest first.
        common_case: file of the common-case graph, which is copied; None if there is none.
        item_encoder: file of the item encoder, which is copied; None if there is none.
        tables: .npy files of the ranking graph's large constants, named as in the bundle, which are
            copied.
        columns_from: number of items from which the bundle has columns of its items.
        **facts: further fields of the manifest, those of `Facts`.

    Returns:
        The manifest that was written.

    Raises:
        BundleError: the written bundle is invalid; an older bundle stays in `folder`.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent), whole_folder(folder) as building:
        layout = BundleLayout(building)
        shutil.copyfile(model, layout.model)
        num_items = write_lines(layout.items, map(line_of, items))
        if num_items >= max(1, columns_from):
            write_columns(layout.items, layout.item_columns)
        write_lines(layout.histories, map(list, histories))
        named = ((common_case, layout.common_case), (item_encoder, layout.item_encoder))
        for source, path in (*named, *((each, building / each.name) for each in tables)):
            if source is not None:
                shutil.copyfile(source, path)
        layout.manifest.write_bytes(render(_manifest(layout, num_items, facts)))
        return _read_bundle(layout).manifest


def load_bundle(folder: Path, trust: Trust | None = None) -> Bundle:
    """Reads and verifies the bundle in `folder`.

    If another process replaces the bundle meanwhile, the result is the old bundle or the new one.
    The manifest is parsed only after `trust` has accepted its signature. If `trust` is None,
    signatures are not checked.

    Raises:
        BundleError: a file is missing, changed or invalid, this program cannot read the schema
            version, or `trust` does not accept the bundle.
    """
    try:
        return _load(folder.resolve(), trust)
    except (OSError, RuntimeError) as error:  # before Python 3.13, the latter for a loop of links
        raise UnreadableFileError(f"{folder}: {shown(error)}") from None


def _load(folder: Path, trust: Trust | None) -> Bundle:
    for attempt in count(1):
        found = readable_folder(folder)
        identity = folder_identity(found)
        try:
            return _read_bundle(BundleLayout(found), trust)
        except BundleError:
            # Files of two bundles were mixed if the folder was replaced: read again.
            is_same = readable_folder(folder) == found and folder_identity(found) == identity
            if is_same or attempt == _MAX_REPLACEMENTS:
                raise
    raise AssertionError("unreachable")


def copy_bundle(bundle: Bundle, target: Path) -> None:
    """Copies the files of a loaded bundle into the existing folder `target`.

    Other files in the bundle's folder are not copied.

    Raises:
        BundleError: a file of the bundle is now missing, too large, or not a regular file.
    """
    layout = BundleLayout(bundle.folder)
    copy_file(layout.manifest, target / layout.manifest.name, MAX_MANIFEST_SIZE)
    if layout.signature.exists():
        copy_file(layout.signature, target / layout.signature.name, MAX_SIGNATURE_SIZE)
    for name in bundle.manifest.sha256:
        path = bundle.folder / name
        copy_file(path, target / name, max_size(path, bundle.manifest.num_items))


def _manifest(layout: BundleLayout, num_items: int, facts: Facts) -> Manifest:
    content: dict[str, Any] = {**ABSENT_BEFORE_4, **facts}
    return with_version(
        Manifest(
            schema_version=SCHEMA_VERSION,
            model_version="",
            num_items=num_items,
            sha256={
                path.name: sha256_of(path, max_size(path, num_items)) for path in layout.hashed
            },
            **content,
        )
    )


def _read_bundle(layout: BundleLayout, trust: Trust | None = None) -> Bundle:
    manifest = read_manifest(layout.folder, trust)
    # The other files are verified when they are read.
    others = {each.name for each in (layout.items, layout.histories, layout.item_columns)}
    verify_files(layout.folder, manifest, manifest.sha256.keys() - others)
    items = _read_items(layout, manifest)
    if len(items) != manifest.num_items:
        raise BundleError(
            f"{layout.items}: {len(items)} items, but num_items in the manifest is "
            f"{manifest.num_items}"
        )
    histories = parse_histories(layout.histories, _read_verified(layout.histories, manifest))
    return Bundle(manifest=manifest, items=items, histories=histories, folder=layout.folder)


def _read_items(layout: BundleLayout, manifest: Manifest) -> Sequence[Item]:
    path = layout.items
    if layout.item_columns.name not in manifest.sha256:
        return parse_items(path, _read_verified(path, manifest))
    lines = open_verified(path, max_size(path, manifest.num_items), manifest.sha256[path.name])
    content = _map_verified(layout.item_columns, manifest)
    columns = open_columns(layout.item_columns, content, manifest.num_items)
    if columns["starts"][manifest.num_items] != len(lines):
        raise BundleError(f"{layout.item_columns}: not the columns of {path.name}")
    return MappedItems(path, lines, columns)


def verify_files(folder: Path, manifest: Manifest, names: Iterable[str] | None = None) -> None:
    """Compares files of a bundle with their hashes in its manifest, without parsing them.

    `names`: the names of the files; None stands for all files of the manifest. Raises BundleError
    if a file is missing, changed or too large.
    """
    for name in manifest.sha256 if names is None else names:
        path = folder / name
        actual = sha256_of(path, max_size(path, manifest.num_items))
        check_hash(path, actual, manifest.sha256[name])


def read_manifest(folder: Path, trust: Trust | None = None) -> Manifest:
    """Reads the manifest of the bundle in `folder`, and checks which files it names.

    If `trust` is given, the manifest is parsed only after `trust` has accepted its signature.

    Raises:
        BundleError: the manifest is missing or invalid, names other files than a bundle has, or
            `trust` does not accept it.
    """
    layout = BundleLayout(folder)
    content = read_file(layout.manifest, MAX_MANIFEST_SIZE)
    if trust is not None:  # before the content is parsed
        trust.verify(layout.manifest, content)
    manifest = _parse_manifest(layout.manifest, content)
    required, optional = ({each.name for each in of} for of in (layout.required, layout.optional))
    if not required <= set(manifest.sha256) <= required | optional:
        raise BundleError(
            f"{layout.manifest}: sha256 lists {shown(', '.join(sorted(manifest.sha256)))}; "
            f"it must list {', '.join(sorted(required))}, "
            f"and may list {', '.join(sorted(optional))}"
        )
    return manifest


def _read_verified(path: Path, manifest: Manifest) -> bytes:
    return read_verified(path, max_size(path, manifest.num_items), manifest.sha256[path.name])


def _map_verified(path: Path, manifest: Manifest) -> mmap.mmap:
    return map_verified(path, max_size(path, manifest.num_items), manifest.sha256[path.name])
