"""The bundle: the one contract between training and the service. Standard library only.

A bundle is a folder. `model.onnx` ranks, `items.jsonl` names what it ranks, `manifest.json` says
where both come from. It carries their hashes, and its `model_version` is the hash of itself, so
that one changed byte in any file is noticed. `save_bundle` stands beside `load_bundle`.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

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

    @property
    def hashed(self) -> tuple[Path, Path]:
        """The files whose hashes the manifest carries: all but itself."""
        return self.model, self.items


@dataclass(frozen=True)
class Tensors:
    """The names of the graph's inputs and outputs.

    Inputs: `history` int64 `[batch, length]`, oldest first, 0 = padding, any length >= 1 and any
    place for the padding; `excluded` int64 `[batch, any]`, never answered, 0 = nothing;
    `allowed` bool `[batch or 1, items + 1]`, what may be answered; `mask_seen` bool scalar, whether
    items of `history` (all of it, not only the newest) may not be answered; `k` int64 `[1]`.

    Outputs: `item_indices` int64 `[batch, min(k, items)]` and `scores` float32 of that shape, best
    first, equal scores in index order; a place that no allowed item is left to fill holds index 0
    and score -inf.
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
    """A loaded, verified bundle: the manifest, the items in index order, the path of the graph."""

    manifest: Manifest
    items: tuple[Item, ...]
    model_path: Path

    def read_model(self) -> bytes:
        """The graph's bytes, verified again: the folder may have been replaced since the load.

        Raises:
            BundleError: `model_path` no longer holds the graph of this manifest.
        """
        return _read_verified(self.model_path, self.manifest)


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
    """Writes a bundle beside `folder`, verifies it, and puts it in the place of an older one.

    A kill at any moment leaves the old bundle or the new one for `load_bundle` to find.

    Raises:
        BundleError: what was written cannot be loaded; an older bundle stays.
    """
    folder = folder.resolve()
    building = Layout(folder.with_name(f".{folder.name}.building"))
    shutil.rmtree(building.folder, ignore_errors=True)
    building.folder.mkdir(parents=True)
    shutil.copyfile(model, building.model)
    lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items]
    building.items.write_bytes("".join(lines).encode())
    manifest = _signed(
        Manifest(
            schema_version=SCHEMA_VERSION,
            model_version="",
            student=student,
            max_history_length=max_history_length,
            num_items=len(lines),
            metrics=metrics,
            parity_error=parity_error,
            provenance=provenance,
            sha256={path.name: _sha256(path.read_bytes()) for path in building.hashed},
        )
    )
    building.manifest.write_bytes(_render(manifest))
    manifest = _read_bundle(building).manifest
    _replace(folder, building.folder)
    return manifest


def load_bundle(folder: Path) -> Bundle:
    """Reads and verifies a bundle.

    Raises:
        BundleError: a file is missing or changed, or the schema is not this program's.
    """
    folder = folder.resolve()
    while True:
        standing = _standing(folder)
        identity = _identity(standing)
        try:
            return _read_bundle(Layout(standing))
        except BundleError:
            # Files of two bundles do not fit together: read again what stands there now.
            if _standing(folder) == standing and _identity(standing) == identity:
                raise


def _replace(folder: Path, successor: Path) -> None:
    aside = _aside(folder)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    successor.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _standing(folder: Path) -> Path:
    """The folder to read: the old bundle, set aside, if a save is, or was killed, midway."""
    return folder if folder.exists() or not _aside(folder).exists() else _aside(folder)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def _read_bundle(layout: Layout) -> Bundle:
    manifest = _read_manifest(layout.manifest)
    _read_verified(layout.model, manifest)
    items = _parse_items(layout.items, _read_verified(layout.items, manifest))
    if len(items) != manifest.num_items:
        raise BundleError(f"{layout.items}: {len(items)} items, manifest says {manifest.num_items}")
    return Bundle(manifest=manifest, items=items, model_path=layout.model)


def _read_manifest(path: Path) -> Manifest:
    text = _read_bytes(path)
    content = _parse_object(str(path), text)
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema_version {version!r}, this program reads {SCHEMA_VERSION}"
        )
    manifest = _build(Manifest, content, str(path))
    if set(manifest.sha256) != {hashed.name for hashed in Layout(path.parent).hashed}:
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
    # Not `splitlines`: a title may hold U+2028 and its like, which end no line of JSON.
    lines = text.removesuffix(b"\n").split(b"\n")
    places = [f"{path}: line {number}" for number in range(1, len(lines) + 1)]
    items = tuple(
        _build(Item, _parse_object(place, line), place)
        for place, line in zip(places, lines, strict=True)
    )
    first_places: dict[str, str] = {}
    for item, place in zip(items, places, strict=True):
        if first_places.setdefault(item.item_id, place) != place:
            raise BundleError(f"{place}: item_id {item.item_id!r} stands twice")
    return items


def _parse_object(place: str, text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise BundleError(f"{place}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise BundleError(f"{place}: not a JSON object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


_Record = TypeVar("_Record", Item, Manifest)


def _build(record: type[_Record], content: dict[str, Any], place: str) -> _Record:
    names = {each.name for each in fields(record)}
    if odd := names ^ set(content):
        raise BundleError(f"{place}: keys missing or unknown: {', '.join(sorted(odd))}")
    for name, value in content.items():
        if not _FIELD_CHECKS[name](value):
            raise BundleError(f"{place}: {name} = {value!r} is not what a bundle holds there")
    return record(**content)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_text_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_texts_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(texts, list) and all(map(_is_text, texts)) for texts in value.values()
    )


_FIELD_CHECKS: Mapping[str, Callable[[object], bool]] = {
    "item_id": _is_text,
    "title": _is_text,
    "popularity": _is_count,
    "attributes": _is_texts_by_name,
    "schema_version": _is_count,
    "model_version": _is_text,
    "student": _is_text,
    "max_history_length": _is_count,
    "num_items": _is_count,
    "metrics": _is_object,
    "parity_error": _is_number,
    "provenance": _is_object,
    "sha256": _is_text_by_name,
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
