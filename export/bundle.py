"""The bundle: the one contract between training and the service. Standard library only.

A bundle is a folder. `model.onnx` ranks, `items.jsonl` names what it ranks, `manifest.json` says
where both come from and carries their hashes. `save_bundle` stands beside `load_bundle`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1


class BundleError(Exception):
    """A bundle that cannot be used; the message names the folder or file and the reason."""


@dataclass(frozen=True)
class Layout:
    """The files of a bundle folder."""

    folder: Path

    @property
    def model(self) -> Path:
        """The ranking graph."""
        return self.folder / "model.onnx"

    @property
    def items(self) -> Path:
        """One JSON object per item, in item_index order, starting with item_index 1."""
        return self.folder / "items.jsonl"

    @property
    def manifest(self) -> Path:
        """What the bundle is and where it comes from."""
        return self.folder / "manifest.json"


@dataclass(frozen=True)
class Tensors:
    """The names of the graph's inputs and outputs.

    Inputs: `history` int64 `[batch, length]`, oldest first, 0 = padding, any length >= 1 and any
    place for the padding; `excluded` int64 `[batch, excluded]`, never answered, 0 = nothing;
    `allowed` bool `[batch or 1, items + 1]`, what may be answered; `mask_seen` bool scalar, whether
    items of `history` (all of it, not only the newest) may not be answered; `k` int64 `[1]`.

    Outputs: `item_indices` int64 `[batch, min(k, items)]` and `scores` float32 of that shape, best
    first; a score of -inf marks a place that no allowed item is left to fill.
    """

    history: str = "history"
    excluded: str = "excluded"
    allowed: str = "allowed"
    mask_seen: str = "mask_seen"
    k: str = "k"
    item_indices: str = "item_indices"
    scores: str = "scores"


TENSORS = Tensors()


@dataclass(frozen=True)
class Item:
    """An item as the service shows it; `popularity` counts training interactions."""

    item_id: str
    title: str
    popularity: int = 0
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a bundle is; `model_version` is a hash of its content.

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
    """A loaded, verified bundle: the manifest, the items in index order, the path of the graph."""

    manifest: Manifest
    items: tuple[Item, ...]
    model_path: Path


def save_bundle(
    folder: Path,
    model: Path,
    items: Iterable[Item],
    *,
    student: str,
    max_history_length: int,
    metrics: Mapping[str, Any],
    parity_error: float,
    provenance: Mapping[str, Any],
) -> Manifest:
    """Writes a bundle beside `folder` and renames it into place; replaces an older bundle."""
    building = Layout(folder.with_name(f".{folder.name}.building"))
    shutil.rmtree(building.folder, ignore_errors=True)
    building.folder.mkdir(parents=True)
    shutil.copyfile(model, building.model)
    lines = [json.dumps(asdict(item), ensure_ascii=False) for item in items]
    building.items.write_text("\n".join(lines) + "\n", encoding="utf-8")
    hashes = {path.name: _sha256(path) for path in (building.model, building.items)}
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        model_version=hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:12],
        student=student,
        max_history_length=max_history_length,
        num_items=len(lines),
        metrics=metrics,
        parity_error=parity_error,
        provenance=provenance,
        sha256=hashes,
    )
    building.manifest.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    building.folder.rename(folder)
    return manifest


def load_bundle(folder: Path) -> Bundle:
    """Reads and verifies a bundle.

    Raises:
        BundleError: a file is missing or changed, or the schema is not this program's.
    """
    layout = Layout(folder)
    manifest = _read_manifest(layout.manifest)
    for name, expected in manifest.sha256.items():
        _verify(layout.folder / name, expected)
    items = _read_items(layout.items)
    if len(items) != manifest.num_items:
        raise BundleError(f"{layout.items}: {len(items)} items, manifest says {manifest.num_items}")
    return Bundle(manifest=manifest, items=items, model_path=layout.model)


def _read_manifest(path: Path) -> Manifest:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path}: missing; is this a bundle?") from None
    except ValueError as error:
        raise BundleError(f"{path}: not JSON ({error})") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema_version {version!r}, this program reads {SCHEMA_VERSION}"
        )
    if unknown := set(content) ^ {each.name for each in fields(Manifest)}:
        raise BundleError(f"{path}: keys missing or unknown: {', '.join(sorted(unknown))}")
    return Manifest(**content)


def _read_items(path: Path) -> tuple[Item, ...]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(Item(**json.loads(line)) for line in lines)


def _verify(path: Path, expected: str) -> None:
    try:
        actual = _sha256(path)
    except FileNotFoundError:
        raise BundleError(f"{path}: missing") from None
    if actual != expected:
        raise BundleError(f"{path}: sha256 {actual[:12]}…, manifest says {expected[:12]}…")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
