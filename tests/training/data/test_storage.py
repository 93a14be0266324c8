import json
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Dataset
from training.data.storage import load_dataset, save_dataset
from training.errors import DataError


@pytest.fixture
def folder(tmp_path: Path, tiny_dataset: Dataset) -> Path:
    save_dataset(tiny_dataset, tmp_path)
    return tmp_path


def test_a_dataset_comes_back_as_it_was_saved(folder: Path, tiny_dataset: Dataset) -> None:
    loaded = load_dataset(folder)

    assert loaded.name == "tiny"
    assert loaded.fingerprint == tiny_dataset.fingerprint
    assert loaded.catalog == tiny_dataset.catalog
    assert loaded.user_ids == tiny_dataset.user_ids
    for array in ("item_indices", "user_offsets", "splits"):
        np.testing.assert_array_equal(getattr(loaded, array), getattr(tiny_dataset, array))
        assert getattr(loaded, array).dtype == getattr(tiny_dataset, array).dtype


@pytest.mark.parametrize("name", ["items.jsonl", "users.json", "interactions.npz"])
def test_a_changed_byte_is_refused_by_the_name_of_its_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(DataError, match=f"{name}: changed since it was written"):
        load_dataset(folder)


@pytest.mark.parametrize("name", ["items.jsonl", "users.json", "interactions.npz", "dataset.json"])
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(DataError, match=f"{name}: missing"):
        load_dataset(folder)


def test_a_manifest_with_another_fingerprint_is_refused(folder: Path) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "0" * 16}))

    with pytest.raises(DataError, match=r"dataset\.json: the fingerprint is not that"):
        load_dataset(folder)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"name": "tiny"}', '{"name": "tiny", "fingerprint": "0", "sha256": []}'],
)
def test_a_file_that_is_no_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / "dataset.json").write_text(content)

    with pytest.raises(DataError, match=r"dataset\.json: not "):
        load_dataset(folder)
