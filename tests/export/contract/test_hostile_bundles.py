"""A bundle of a stranger is refused with its reason, and at once."""

import json
import os
import socket
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from export.contract.bundle import BundleError, BundleLayout, Item, load_bundle, save_bundle
from export.contract.bundles_folder import publish

NAMES = ["manifest.json", "model.onnx", "items.jsonl", "histories.jsonl"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved bundle of two items."""
    (tmp_path / "exported.onnx").write_bytes(b"graph")
    save_bundle(
        tmp_path / "bundle",
        tmp_path / "exported.onnx",
        [Item("a", "Alien", 2), Item("b", "Brazil", 1)],
        histories=[["a"]],
        student="sasrec",
        max_history_length=50,
        metrics={},
        parity_error=0.0,
        provenance={},
    )
    return tmp_path / "bundle"


def forge(folder: Path, **changes: object) -> None:
    """Changes fields of the manifest so that all hashes fit again."""
    layout = BundleLayout(folder)
    content: dict[str, Any] = json.loads(layout.manifest.read_text()) | {"model_version": ""}
    content["sha256"] = {each: digest(folder / each) for each in content["sha256"]}
    content |= changes
    canonical = json.dumps(content, sort_keys=True).encode()
    content["model_version"] = sha256(canonical).hexdigest()[:12]
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    layout.manifest.write_bytes(text.encode("utf-8", "surrogatepass"))


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def listening_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most about 100 characters
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def link_to_itself_moved(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved").name)


def link_to_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def empty_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def sparse(path: Path) -> None:
    os.truncate(path, 20 * 10**9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("replace", "complaint"),
    [
        (pipe, "a pipe, expected a regular file"),
        (listening_socket, "a socket, expected a regular file"),
        (link_to_itself_moved, "a link, expected a regular file"),
        (link_to_a_device, "a link, expected a regular file"),
        (empty_folder, "a folder, expected a regular file"),
        (sparse, "20,000,000,000 bytes, at most .* are read"),
    ],
)
def test_what_is_no_regular_file_of_a_sensible_size_is_refused(
    folder: Path, name: str, replace: Callable[[Path], None], complaint: str
) -> None:
    replace(folder / name)
    with pytest.raises(BundleError, match=rf"{name}: {complaint}"):
        load_bundle(folder)


def test_a_device_in_the_place_of_a_file_is_refused(folder: Path) -> None:
    device = folder / "items.jsonl"
    device.unlink()
    try:
        os.mknod(device, 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(BundleError, match=r"items\.jsonl: "):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"max_history_length": 10**400}, "whole numbers are at most 9007199254740992"),
        ({"max_history_length": 0}, "max_history_length = 0, expected a whole number, 1 to 4096"),
        ({"max_history_length": 4097}, "max_history_length = 4097, expected a whole number"),
        ({"num_items": 20_000_001}, "num_items = 20000001, expected a whole number"),
        ({"trained_until": 2**53 + 1}, "whole numbers are at most"),
        ({"metrics": {"seed": 2**64}}, "whole numbers are at most 9007199254740992"),
        ({"metrics": {"\ud800": 1}}, "not JSON|Unicode"),
        ({"provenance": {"commit": "\udfff"}}, "not JSON|Unicode"),
        ({"student": "s" * 257}, "student = .*, expected a string of at most 256"),
        ({"verdict": "x" * 4_000_000}, r"bytes, at most 4,000,000 are read"),
        ({"student": "s\ud800"}, "not JSON|Unicode"),
        ({"parity_error": True}, "parity_error = True, expected a number"),
    ],
)
def test_a_number_or_string_that_the_service_could_not_answer_is_refused(
    folder: Path, changes: dict[str, object], complaint: str
) -> None:
    forge(folder, **changes)
    with pytest.raises(BundleError, match=rf"manifest\.json: .*({complaint})"):
        load_bundle(folder)


def test_a_manifest_nested_too_deep_is_refused(folder: Path) -> None:
    nested: object = 1
    for _ in range(200):
        nested = [nested]
    forge(folder, metrics={"deep": nested})
    with pytest.raises(BundleError, match=r"manifest\.json: more than 32 lists and objects"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"item_id": "\\ud800"}, "item_id = "),
        ({"item_id": ""}, "item_id = '', expected a string of 1 to 256 characters"),
        ({"item_id": "i" * 257}, "item_id = "),
        ({"title": "Alien\\udc00"}, "title = "),
        ({"title": "t" * 4097}, "title = "),
        ({"title": "t" * 70_000}, "at most 65,536 are read"),
        ({"popularity": 2**53 + 1}, "popularity = 9007199254740993, expected"),
        ({"is_read": "no"}, "is_read = 'no', expected true or false"),
        ({"popularity": 10**5000}, "not JSON"),
        ({"attributes": {"genres": ["\\ud800"]}}, "attributes = "),
        ({"attributes": {"g" * 257: ["x"]}}, "attributes = "),
    ],
)
def test_an_item_that_the_service_could_not_answer_is_refused_with_its_line(
    folder: Path, changes: dict[str, object], complaint: str
) -> None:
    item: dict[str, object] = {"item_id": "b", "title": "T", "popularity": 0, "attributes": {}}
    big = changes.get("popularity") == 10**5000
    text = json.dumps(item | ({} if big else changes)).replace("\\\\u", "\\u")
    if big:
        text = text.replace('"popularity": 0', '"popularity": 1' + "0" * 5000)
    path = BundleLayout(folder).items
    path.write_text(path.read_text().split("\n")[0] + f"\n{text}\n")
    forge(folder)
    with pytest.raises(BundleError, match=rf"items\.jsonl: line 2: .*{complaint}"):
        load_bundle(folder)


def test_a_message_about_a_huge_value_is_short_and_of_one_line(folder: Path) -> None:
    forge(folder, **{"x\ny" * 100_000: 1})
    with pytest.raises(BundleError) as refused:
        load_bundle(folder)
    assert len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)


def test_more_histories_than_a_warm_up_reads_are_refused(folder: Path) -> None:
    BundleLayout(folder).histories.write_text('["a"]\n' * 10_001)
    forge(folder)
    with pytest.raises(BundleError, match=r"histories\.jsonl: line 10001: at most 10,000"):
        load_bundle(folder)


def test_a_graph_far_larger_than_its_catalog_is_refused_unread(folder: Path) -> None:
    os.truncate(BundleLayout(folder).model, 2**26 + 2 * 2**15 + 1)
    with pytest.raises(BundleError, match=r"model\.onnx: .* bytes, at most 67,174,400 are read"):
        load_bundle(folder)


def test_only_the_files_of_a_bundle_are_published(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "extra")
    (folder / "secrets").symlink_to("/etc/passwd")
    link = publish(folder, tmp_path / "bundles")
    assert sorted(each.name for each in link.path.iterdir()) == sorted(NAMES)
