"""The bundle: the one contract between training and the service. Standard library only.

A bundle is a folder. `model.onnx` ranks, `plain.onnx` (of a catalog that is not too large) answers
most questions sooner, `items.jsonl` names what they rank, `histories.jsonl` holds real histories to
warm up with, `item_encoder.onnx` (of a student of LLM embeddings) makes vectors of new items,
`manifest.json` says where all come from. It carries their hashes, and its `model_version` is the
hash of itself, so that one changed byte in any file is noticed. `export.contract.tensors` names the
graphs' inputs and outputs.
`save_bundle` stands beside `load_bundle`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from export.contract.folders import folder_identity, replace_folder, standing_folder
from export.contract.records import (
    BundleError as BundleError,  # the contract's own error, used by all
)
from export.contract.records import (
    Checks,
    build,
    is_count,
    is_number,
    is_object,
    is_text,
    is_text_by_name,
    is_texts,
    is_texts_by_name,
    numbered_lines,
    parse,
    parse_object,
    write_lines,
)

SCHEMA_VERSION = 3
READABLE_VERSIONS = (2, 3)  # the second had no plain.onnx


@dataclass(frozen=True)
class BundleLayout:
    """The files of a bundle folder."""

    folder: Path

    @property
    def model(self) -> Path:
        """The ranking graph."""
        return self.folder / "model.onnx"

    @property
    def plain(self) -> Path:
        """The graph of plain questions; where it would not save time there is none."""
        return self.folder / "plain.onnx"

    @property
    def items(self) -> Path:
        """One JSON object per item, in item_index order, starting with item_index 1."""
        return self.folder / "items.jsonl"

    @property
    def manifest(self) -> Path:
        """What the bundle is and where it comes from."""
        return self.folder / "manifest.json"

    @property
    def histories(self) -> Path:
        """One JSON list of item ids per line, oldest first; may be empty."""
        return self.folder / "histories.jsonl"

    @property
    def item_encoder(self) -> Path:
        """The graph that turns LLM embeddings into item vectors; a plain student has none."""
        return self.folder / "item_encoder.onnx"

    @property
    def required(self) -> tuple[Path, ...]:
        """The files that every bundle has, the manifest aside."""
        return self.model, self.items, self.histories

    @property
    def optional(self) -> tuple[Path, ...]:
        """The files that a bundle may have."""
        return self.plain, self.item_encoder

    @property
    def hashed(self) -> tuple[Path, ...]:
        """The files whose hashes the manifest carries: all that stand there but itself."""
        return *self.required, *(path for path in self.optional if path.exists())


@dataclass(frozen=True)
class Item:
    """An item as the service shows it; `popularity` counts training interactions."""

    item_id: str
    title: str
    popularity: int = 0
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a bundle is; `model_version` is a hash of all else in here, the files' hashes included.

    `metrics` were measured on this very bundle through onnxruntime; `parity_error` is the largest
    score difference from torch.
    """

    schema_version: int
    model_version: str
    student: str
    max_history_length: int
    num_items: int
    metrics: Mapping[str, Any]
    parity_error: float
    provenance: Mapping[str, Any]
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class Bundle:
    """A loaded, verified bundle; `items` in index order, `histories` are item ids, oldest first."""

    manifest: Manifest
    items: tuple[Item, ...]
    histories: tuple[tuple[str, ...], ...]
    folder: Path

    def read_model(self) -> bytes:
        """The ranking graph, verified again: the folder may have been replaced since the load.

        Raises:
            BundleError: the folder no longer holds the graph of this manifest.
        """
        return _read_verified(BundleLayout(self.folder).model, self.manifest)

    def read_plain(self) -> bytes | None:
        """The graph of plain questions, verified again; None if the bundle has none.

        Raises:
            BundleError: the folder no longer holds the graph of this manifest.
        """
        return self._read_optional(BundleLayout(self.folder).plain)

    def read_item_encoder(self) -> bytes | None:
        """The item encoder, verified again; None if the bundle has none.

        Raises:
            BundleError: the folder no longer holds the encoder of this manifest.
        """
        return self._read_optional(BundleLayout(self.folder).item_encoder)

    def _read_optional(self, path: Path) -> bytes | None:
        return _read_verified(path, self.manifest) if path.name in self.manifest.sha256 else None


def save_bundle(
    folder: Path,
    model: Path,
    items: Iterable[Item],
    *,
    histories: Iterable[Sequence[str]] = (),
    plain: Path | None = None,
    item_encoder: Path | None = None,
    student: str,
    max_history_length: int,
    metrics: Mapping[str, Any],
    parity_error: float,
    provenance: Mapping[str, Any],
) -> Manifest:
    """Writes a bundle beside `folder`, verifies it, and puts it in the place of an older one.

    A kill at any moment leaves the old bundle or the new one for `load_bundle` to find.

    Raises:
        BundleError: what was written cannot be loaded; an older bundle stays.
    """
    folder = folder.resolve()
    building = BundleLayout(folder.with_name(f".{folder.name}.building"))
    shutil.rmtree(building.folder, ignore_errors=True)
    building.folder.mkdir(parents=True)
    shutil.copyfile(model, building.model)
    num_items = write_lines(building.items, map(asdict, items))
    write_lines(building.histories, map(list, histories))
    for source, path in ((plain, building.plain), (item_encoder, building.item_encoder)):
        if source is not None:
            shutil.copyfile(source, path)
    manifest = _signed(
        Manifest(
            schema_version=SCHEMA_VERSION,
            model_version="",
            student=student,
            max_history_length=max_history_length,
            num_items=num_items,
            metrics=metrics,
            parity_error=parity_error,
            provenance=provenance,
            sha256={path.name: _sha256(path.read_bytes()) for path in building.hashed},
        )
    )
    building.manifest.write_bytes(_render(manifest))
    manifest = _read_bundle(building).manifest
    replace_folder(folder, building.folder)
    return manifest


def load_bundle(folder: Path) -> Bundle:
    """Reads and verifies a bundle.

    Raises:
        BundleError: a file is missing or changed, or the schema is not this program's.
    """
    folder = folder.resolve()
    while True:
        standing = standing_folder(folder)
        identity = folder_identity(standing)
        try:
            return _read_bundle(BundleLayout(standing))
        except BundleError:
            # Files of two bundles do not fit together: read again what stands there now.
            unmoved = standing_folder(folder) == standing
            if unmoved and folder_identity(standing) == identity:
                raise


def _read_bundle(layout: BundleLayout) -> Bundle:
    manifest = _read_manifest(layout.manifest)
    for name in manifest.sha256.keys() - {layout.items.name, layout.histories.name}:
        _read_verified(layout.folder / name, manifest)
    items = _parse_items(layout.items, _read_verified(layout.items, manifest))
    if len(items) != manifest.num_items:
        raise BundleError(f"{layout.items}: {len(items)} items, manifest says {manifest.num_items}")
    histories = _parse_histories(layout.histories, _read_verified(layout.histories, manifest))
    return Bundle(manifest=manifest, items=items, histories=histories, folder=layout.folder)


def _read_manifest(path: Path) -> Manifest:
    text = _read_bytes(path)
    content = parse_object(str(path), text)
    version = content.get("schema_version")
    if version not in READABLE_VERSIONS:
        readable = " and ".join(map(str, READABLE_VERSIONS))
        raise BundleError(f"{path}: schema_version {version!r}, this program reads {readable}")
    manifest = build(Manifest, content, _MANIFEST_CHECKS, str(path))
    layout = BundleLayout(path.parent)
    required, optional = ({each.name for each in of} for of in (layout.required, layout.optional))
    if not required <= set(manifest.sha256) <= required | optional:
        raise BundleError(f"{path}: sha256 of {', '.join(sorted(manifest.sha256))}")
    if _signed(manifest) != manifest or _render(manifest) != text:
        raise BundleError(f"{path}: changed since it was written (model_version does not match)")
    return manifest


def _signed(manifest: Manifest) -> Manifest:
    """The manifest with the `model_version` that its content has."""
    content = asdict(manifest) | {"model_version": ""}
    canonical = json.dumps(content, sort_keys=True, allow_nan=False).encode()
    return Manifest(**content | {"model_version": _sha256(canonical)[:12]})


def _render(manifest: Manifest) -> bytes:
    return (json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n").encode()


def _parse_items(path: Path, text: bytes) -> tuple[Item, ...]:
    items: dict[str, Item] = {}
    for place, line in numbered_lines(path, text):
        item = build(Item, parse_object(place, line), _ITEM_CHECKS, place)
        if item.item_id in items:
            raise BundleError(f"{place}: item_id {item.item_id!r} stands twice")
        items[item.item_id] = item
    return tuple(items.values())


def _parse_histories(path: Path, text: bytes) -> tuple[tuple[str, ...], ...]:
    histories = []
    for place, line in numbered_lines(path, text):
        history = parse(place, line)
        if not is_texts(history):
            raise BundleError(f"{place}: not a list of item ids")
        histories.append(tuple(history))
    return tuple(histories)


_ITEM_CHECKS: Checks = {
    "item_id": is_text,
    "title": is_text,
    "popularity": is_count,
    "attributes": is_texts_by_name,
}
_MANIFEST_CHECKS: Checks = {
    "schema_version": is_count,
    "model_version": is_text,
    "student": is_text,
    "max_history_length": is_count,
    "num_items": is_count,
    "metrics": is_object,
    "parity_error": is_number,
    "provenance": is_object,
    "sha256": is_text_by_name,
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
