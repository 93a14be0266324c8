"""The bundle: the one contract between training and the service. Standard library only.

A bundle is a folder. `model.onnx` ranks. `plain.onnx`, which a large catalog does not have, answers
the common case faster. `items.jsonl` names the items that they rank. `histories.jsonl` holds real
histories to warm up with. `item_encoder.onnx`, which a student without LLM embeddings does not
have, makes vectors of new items. `manifest.json` says where all of them come from.

The manifest carries the hashes of the other files, and its `model_version` is a hash of itself: one
changed byte in any file is noticed. `export.contract.tensors` names the graphs' inputs and outputs.
"""

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict, Unpack

from export.contract.folders import folder_identity, readable_folder, whole_folder
from export.contract.manifest import ABSENT_BEFORE_4, SCHEMA_VERSION, render, with_version
from export.contract.manifest import Figure as Figure
from export.contract.manifest import Manifest as Manifest
from export.contract.manifest import parse_manifest as _parse_manifest
from export.contract.records import (
    COUNT,
    TEXT,
    TEXTS,
    TEXTS_BY_NAME,
    Checks,
    build,
    numbered_lines,
    parse,
    parse_object,
    write_lines,
)
from export.contract.records import BundleError as BundleError


@dataclass(frozen=True)
class BundleLayout:
    """The files of a bundle folder."""

    folder: Path

    @property
    def model(self) -> Path:
        """The ranking graph, which answers every query."""
        return self.folder / "model.onnx"

    @property
    def common_case(self) -> Path:
        """The common-case graph; missing where it would not save time."""
        return self.folder / "plain.onnx"

    @property
    def items(self) -> Path:
        """One JSON object per item, in item_index order, starting with item_index 1."""
        return self.folder / "items.jsonl"

    @property
    def manifest(self) -> Path:
        """The JSON description of the bundle."""
        return self.folder / "manifest.json"

    @property
    def histories(self) -> Path:
        """One JSON list of item ids per line, oldest first; may be empty."""
        return self.folder / "histories.jsonl"

    @property
    def item_encoder(self) -> Path:
        """The graph that makes item vectors of LLM embeddings; missing without embeddings."""
        return self.folder / "item_encoder.onnx"

    @property
    def required(self) -> tuple[Path, ...]:
        """The files that every bundle has beside its manifest."""
        return self.model, self.items, self.histories

    @property
    def optional(self) -> tuple[Path, ...]:
        """The files that a bundle may lack."""
        return self.common_case, self.item_encoder

    @property
    def hashed(self) -> tuple[Path, ...]:
        """The files whose hashes the manifest carries: all that exist, except itself."""
        return *self.required, *(path for path in self.optional if path.exists())


@dataclass(frozen=True)
class Item:
    """An item as the service shows it; `popularity` counts training interactions."""

    item_id: str
    title: str
    popularity: int = 0
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A loaded, verified bundle; `items` in index order, `histories` are item ids, oldest first."""

    manifest: Manifest
    items: tuple[Item, ...]
    histories: tuple[tuple[str, ...], ...]
    folder: Path

    def read_model(self) -> bytes:
        """Reads the ranking graph and verifies it again: the folder may have been replaced.

        Raises:
            BundleError: the folder no longer holds the graph of this manifest.
        """
        return _read_verified(BundleLayout(self.folder).model, self.manifest)

    def read_common_case(self) -> bytes | None:
        """Reads the common-case graph and verifies it again; None if the bundle has none.

        Raises:
            BundleError: the folder no longer holds the graph of this manifest.
        """
        return self._read_optional(BundleLayout(self.folder).common_case)

    def read_item_encoder(self) -> bytes | None:
        """Reads the item encoder and verifies it again; None if the bundle has none.

        Raises:
            BundleError: the folder no longer holds the encoder of this manifest.
        """
        return self._read_optional(BundleLayout(self.folder).item_encoder)

    def _read_optional(self, path: Path) -> bytes | None:
        return _read_verified(path, self.manifest) if path.name in self.manifest.sha256 else None


class Facts(TypedDict):
    """The fields of a manifest that only the exporting program knows; see `Manifest`."""

    student: str
    max_history_length: int
    metrics: Mapping[str, Any]
    parity_error: float
    provenance: Mapping[str, Any]
    origin: NotRequired[str]
    protocol: NotRequired[str]
    trained_until: NotRequired[int | None]
    figures: NotRequired[Sequence[Figure]]
    verdict: NotRequired[str]
    scorer: NotRequired[Mapping[str, Any] | None]


def save_bundle(
    folder: Path,
    model: Path,
    items: Iterable[Item],
    *,
    histories: Iterable[Sequence[str]] = (),
    common_case: Path | None = None,
    item_encoder: Path | None = None,
    **facts: Unpack[Facts],
) -> Manifest:
    """Writes a bundle, verifies it, and replaces `folder` with it.

    A kill at any moment leaves the old bundle or the new one for `load_bundle` to find.

    Raises:
        BundleError: the written bundle cannot be loaded; an older bundle stays.
    """
    with whole_folder(folder) as building:
        layout = BundleLayout(building)
        shutil.copyfile(model, layout.model)
        num_items = write_lines(layout.items, map(asdict, items))
        write_lines(layout.histories, map(list, histories))
        for source, path in (
            (common_case, layout.common_case),
            (item_encoder, layout.item_encoder),
        ):
            if source is not None:
                shutil.copyfile(source, path)
        layout.manifest.write_bytes(render(_manifest(layout, num_items, facts)))
        return _read_bundle(layout).manifest


def load_bundle(folder: Path) -> Bundle:
    """Reads and verifies a bundle; works while the bundle is being replaced.

    Raises:
        BundleError: a file is missing or changed, or the schema is not this program's.
    """
    folder = folder.resolve()
    while True:
        found = readable_folder(folder)
        identity = folder_identity(found)
        try:
            return _read_bundle(BundleLayout(found))
        except BundleError:
            # A replacement in between mixes the files of two bundles: read the new one then.
            is_same = readable_folder(folder) == found and folder_identity(found) == identity
            if is_same:
                raise


def _manifest(layout: BundleLayout, num_items: int, facts: Facts) -> Manifest:
    content: dict[str, Any] = {**ABSENT_BEFORE_4, **facts}
    return with_version(
        Manifest(
            schema_version=SCHEMA_VERSION,
            model_version="",
            num_items=num_items,
            sha256={path.name: _sha256(path.read_bytes()) for path in layout.hashed},
            **content,
        )
    )


def _read_bundle(layout: BundleLayout) -> Bundle:
    manifest = _read_manifest(layout)
    for name in manifest.sha256.keys() - {layout.items.name, layout.histories.name}:
        _read_verified(layout.folder / name, manifest)
    items = _parse_items(layout.items, _read_verified(layout.items, manifest))
    if len(items) != manifest.num_items:
        raise BundleError(f"{layout.items}: {len(items)} items, manifest says {manifest.num_items}")
    histories = _parse_histories(layout.histories, _read_verified(layout.histories, manifest))
    return Bundle(manifest=manifest, items=items, histories=histories, folder=layout.folder)


def _read_manifest(layout: BundleLayout) -> Manifest:
    manifest = _parse_manifest(layout.manifest, _read_bytes(layout.manifest))
    required, optional = ({each.name for each in of} for of in (layout.required, layout.optional))
    if not required <= set(manifest.sha256) <= required | optional:
        raise BundleError(
            f"{layout.manifest}: sha256 of {', '.join(sorted(manifest.sha256))}; a bundle has "
            f"{', '.join(sorted(required))}, and may have {', '.join(sorted(optional))}"
        )
    return manifest


def _parse_items(path: Path, text: bytes) -> tuple[Item, ...]:
    items: dict[str, Item] = {}
    for place, line in numbered_lines(path, text):
        item = build(Item, parse_object(place, line), _ITEM_CHECKS, place)
        if item.item_id in items:
            raise BundleError(f"{place}: item_id {item.item_id!r} occurs twice")
        items[item.item_id] = item
    return tuple(items.values())


def _parse_histories(path: Path, text: bytes) -> tuple[tuple[str, ...], ...]:
    histories = []
    for place, line in numbered_lines(path, text):
        history = parse(place, line)
        if not TEXTS.passes(history):
            raise BundleError(f"{place}: not a list of item ids")
        histories.append(tuple(history))
    return tuple(histories)


_ITEM_CHECKS: Checks = {
    "item_id": TEXT,
    "title": TEXT,
    "popularity": COUNT,
    "attributes": TEXTS_BY_NAME,
}


def _read_verified(path: Path, manifest: Manifest) -> bytes:
    content = _read_bytes(path)
    actual, expected = _sha256(content), manifest.sha256[path.name]
    if actual != expected:
        raise BundleError(f"{path}: sha256 {actual[:12]}…, manifest says {expected[:12]}…")
    return content


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path}: missing") from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
