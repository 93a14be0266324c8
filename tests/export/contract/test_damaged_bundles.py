"""Bundles that are damaged, or forged by their author, are refused."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from export.contract.bundle import (
    BundleError,
    BundleLayout,
    load_bundle,
)

FILES = ["model.onnx", "items.jsonl", "histories.jsonl", "item_encoder.onnx", "manifest.json"]


def forge(folder: Path, changes: dict[str, object], items: str | None = None) -> None:
    """Changes a bundle the way its author could: all hashes fit again."""
    layout = BundleLayout(folder)
    if items is not None:
        layout.items.write_text(items)
    content = json.loads(layout.manifest.read_text()) | {"model_version": ""}
    content["sha256"]["items.jsonl"] = hashlib.sha256(layout.items.read_bytes()).hexdigest()
    content |= changes
    canonical = json.dumps(content, sort_keys=True).encode()
    content["model_version"] = hashlib.sha256(canonical).hexdigest()[:12]
    layout.manifest.write_text(json.dumps(content, indent=2) + "\n")


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_any_byte_is_refused_with_the_name_of_its_file(
    folder: Path, name: str
) -> None:
    path = folder / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(BundleError, match=name):
            load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_emptied_or_missing_is_refused_by_name(folder: Path, name: str) -> None:
    path = folder / name
    for content in (path.read_bytes()[:-1], b""):
        path.write_bytes(content)
        with pytest.raises(BundleError, match=name):
            load_bundle(folder)
    path.unlink()
    with pytest.raises(BundleError, match=rf"{name}: missing"):
        load_bundle(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere/manifest\.json: missing"):
        load_bundle(tmp_path / "nowhere")


def test_a_reformatted_manifest_is_refused(folder: Path) -> None:
    path = BundleLayout(folder).manifest
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    with pytest.raises(BundleError, match=r"manifest\.json: changed"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"schema_version": 2},
            "version 2, this program reads 3 and 4; run .*export.* again",
        ),
        ({"schema_version": 5}, "schema_version 5, .*; serve it with a newer version"),
        ({"schema_version": 3}, "schema 3 has no keys figures, origin, protocol, scorer, "),
        ({"origin": "guessed"}, "origin = 'guessed', expected 'distilled' or 'rectools' or"),
        ({"protocol": None}, "protocol = None, expected 'validation' or 'refit'"),
        ({"trained_until": 1.5}, "trained_until = 1.5, expected a whole number, or null"),
        ({"figures": [{"row": "popularity"}]}, "figure 1: missing keys: high, low"),
        ({"scorer": "exact"}, "scorer = 'exact', expected an object, or null"),
        ({"num_items": 3}, "2 items, but num_items in the manifest is 3"),
        ({"num_items": "2"}, "num_items = '2'"),
        ({"max_history_length": True}, "max_history_length = True"),
        ({"metrics": []}, r"metrics = \[\]"),
        ({"parity_error": None}, "parity_error = None"),
        ({"parity_error": float("nan")}, "not JSON .NaN"),
        ({"sha256": {"model.onnx": "00"}}, "sha256 lists model.onnx"),
        ({"colour": "red"}, "unknown keys: colour"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused_with_the_reason(
    folder: Path, changes: dict[str, object], complaint: str
) -> None:
    forge(folder, changes)
    with pytest.raises(BundleError, match=complaint):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"item_id": "1"}', "missing keys: attributes, popularity, title"),
        (
            '{"item_id": "1", "title": "T", "popularity": -1, "attributes": {}}',
            "popularity = -1",
        ),
        (
            '{"item_id": "1", "title": "T", "popularity": 0, "attributes": {"genres": "Drama"}}',
            "attributes = ",
        ),
        (
            '{"item_id": "up", "title": "T", "popularity": 0, "attributes": {}}',
            "item_id 'up' occurs twice",
        ),
    ],
)
def test_an_item_that_cannot_be_read_is_refused_with_its_line(
    folder: Path, line: str, complaint: str
) -> None:
    first = BundleLayout(folder).items.read_text().split("\n")[0]
    forge(folder, {}, items=f"{first}\n{line}\n")
    with pytest.raises(BundleError, match=rf"items\.jsonl: line 2: .*{complaint}"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            '"schema_version": ',
            '"schema_version": 1e999',
            "1e999.* is not a finite number",
        ),
        ('"metrics": ', '"metrics": ' + "[" * 200_000, "not JSON .*recursion"),
    ],
)
def test_a_manifest_that_no_parser_takes_is_refused(
    folder: Path, old: str, new: str, complaint: str
) -> None:
    path = BundleLayout(folder).manifest
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BundleError, match=rf"manifest\.json: .*{complaint}"):
        load_bundle(folder)


def test_a_forged_bundle_whose_hashes_fit_is_read(folder: Path) -> None:
    """So the refusals above are due to the changes, not to the forging."""
    forge(folder, {"student": "gru4rec"})
    assert load_bundle(folder).manifest.student == "gru4rec"


def test_a_history_that_is_no_list_of_ids_is_refused_with_its_line(folder: Path) -> None:
    path = BundleLayout(folder).histories
    path.write_text('["up"]\n["up", 1]\n')
    sha256 = json.loads(BundleLayout(folder).manifest.read_text())["sha256"]
    sha256[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    forge(folder, {"sha256": sha256})
    with pytest.raises(BundleError, match=r"histories\.jsonl: line 2: not a list of item ids"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", "plain.onnx"])
def test_one_flipped_bit_in_a_bundle_of_schema_3_is_refused(name: str, tmp_path: Path) -> None:
    path = shutil.copytree(Path(__file__).parent / "schema_3", tmp_path / "old") / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BundleError, match=name):
            load_bundle(tmp_path / "old")
