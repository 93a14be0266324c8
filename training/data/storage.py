"""Saves a dataset as a folder, and loads it.

The file `dataset.json` has the dataset's name and the hash of every other file. `load_dataset`
detects a changed file by its hash.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.data.catalog import Catalog
from training.data.dataset import Dataset, list_as_json
from training.errors import PREPARE, DataError
from training.stage import readable_folder


@dataclass(frozen=True)
class DatasetLayout:
    """Paths of the files in a dataset folder."""

    folder: Path

    @property
    def manifest(self) -> Path:
        """Path of a JSON file with name, fingerprint, and the hash of every other file."""
        return self.folder / "dataset.json"

    @property
    def items(self) -> Path:
        """Path of a JSON Lines file with one item per line, in the order of item_index from 1."""
        return self.folder / "items.jsonl"

    @property
    def users(self) -> Path:
        """Path of a JSON file with a list of the user ids, in the order of their rows."""
        return self.folder / "users.json"

    @property
    def interactions(self) -> Path:
        """Path of a NumPy archive with the arrays `item_indices`, `user_offsets` and `splits`."""
        return self.folder / "interactions.npz"

    @property
    def contents(self) -> tuple[Path, ...]:
        """Paths of all files except the manifest."""
        return (self.items, self.users, self.interactions)


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Writes the files of `dataset` into `folder`, which must exist.

    With a folder from `training.stage.write_stage`, an interrupted write leaves the old dataset
    intact.
    """
    layout = DatasetLayout(folder)
    with layout.items.open("w", encoding="utf-8") as items:
        items.writelines(_item_lines(dataset.catalog))
    with layout.users.open("w", encoding="utf-8") as users:
        users.writelines(list_as_json(dataset.user_ids, ensure_ascii=False))
    np.savez(
        layout.interactions,
        item_indices=dataset.item_indices,
        user_offsets=dataset.user_offsets,
        splits=dataset.splits,
    )
    manifest = {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "sha256": {path.name: _sha256(path) for path in layout.contents},
    }
    layout.manifest.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load_dataset(folder: Path) -> Dataset:
    """Reads a dataset from `folder` and verifies the hashes of its files.

    Raises:
        DataError: a file is missing, malformed, or has changed since `save_dataset`.
    """
    layout = DatasetLayout(readable_folder(folder))
    manifest = _read_manifest(layout.manifest)
    for path in layout.contents:
        _verify(path, manifest["sha256"].get(path.name))
    with np.load(layout.interactions, allow_pickle=False) as arrays:
        dataset = Dataset(
            name=manifest["name"],
            fingerprint=manifest["fingerprint"],
            catalog=_read_items(layout.items),
            user_ids=tuple(json.loads(layout.users.read_text(encoding="utf-8"))),
            item_indices=arrays["item_indices"],
            user_offsets=arrays["user_offsets"],
            splits=arrays["splits"],
        )
    if dataset.content_fingerprint() != dataset.fingerprint:
        raise _damaged(layout.manifest, "the fingerprint is not that of the content")
    return dataset


def _item_lines(catalog: Catalog) -> Iterator[str]:
    columns = zip(catalog.item_ids, catalog.titles, catalog.attributes, strict=True)
    for item_id, title, attributes in columns:
        item = {"item_id": item_id, "title": title, "attributes": dict(attributes)}
        yield json.dumps(item, ensure_ascii=False) + "\n"


def _read_items(path: Path) -> Catalog:
    items: Iterable[Any] = map(json.loads, path.read_bytes().splitlines())
    rows = [(item["item_id"], item["title"], item["attributes"]) for item in items]
    return Catalog(
        item_ids=tuple(item_id for item_id, _, _ in rows),
        titles=tuple(title for _, title, _ in rows),
        attributes=tuple(
            {name: tuple(values) for name, values in attributes.items()}
            for _, _, attributes in rows
        ),
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: missing; run {PREPARE} first") from None
    except ValueError as error:
        raise _damaged(path, f"not JSON ({error})") from None
    has_keys = isinstance(manifest, dict) and manifest.keys() == {"name", "fingerprint", "sha256"}
    if not has_keys or not isinstance(manifest["sha256"], dict):
        raise _damaged(path, "not a dataset's manifest")
    return manifest


def _verify(path: Path, expected: object) -> None:
    try:
        actual = _sha256(path)
    except FileNotFoundError:
        raise _damaged(path, "missing") from None
    if actual != expected:
        raise _damaged(path, "changed since it was written")


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: {reason}; delete {path.parent} and run {PREPARE} again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
