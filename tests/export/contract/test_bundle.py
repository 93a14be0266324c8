import hashlib
import json
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from export.contract.bundle import (
    Bundle,
    BundleError,
    BundleLayout,
    Figure,
    Item,
    Manifest,
    load_bundle,
    save_bundle,
)

ITEMS = (
    Item("up", "Up (2009)", 7, {"genres": ["Animation", "Drama"]}),
    Item("47", "Amélie\u2028in two lines", 3),
)
HISTORIES = (("47", "up"), ("up",))
FILES = ["model.onnx", "items.jsonl", "histories.jsonl", "item_encoder.onnx", "manifest.json"]

# Saves a bundle and dies, as by `kill -9`, before the given step that touches its folder.
KILLED_SAVE = """
import os, sys
from pathlib import Path
from export.contract.bundle import Item, save_bundle

root, steps_left = sys.argv[1], int(sys.argv[2])

def step(event, arguments):
    global steps_left
    touches = event in {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree"}
    if touches and str(arguments[0]).startswith(root):
        if steps_left == 0:
            os._exit(9)
        steps_left -= 1

sys.addaudithook(step)
save_bundle(
    Path(root) / "bundle", Path(root) / "exported.onnx", [Item("new", "New")], student="sasrec",
    max_history_length=50, metrics={}, parity_error=0.0, provenance={},
)
"""


def save(folder: Path, items: tuple[Item, ...] = ITEMS, graph: bytes = b"graph") -> Manifest:
    model = folder.parent / "exported.onnx"
    model.write_bytes(graph)
    encoder = folder.parent / "encoder.onnx"
    encoder.write_bytes(b"encoder")
    return save_bundle(
        folder,
        model,
        items,
        histories=HISTORIES,
        item_encoder=encoder,
        student="sasrec",
        max_history_length=50,
        metrics={"test": {"NDCG@20": 0.125}, "seed": 1},
        parity_error=1e-6,
        provenance={"dataset": "9f", "seeds": [0, 1]},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved bundle."""
    save(tmp_path / "bundle")
    return tmp_path / "bundle"


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


def test_a_saved_bundle_is_loaded_as_it_was(folder: Path) -> None:
    manifest = save(folder)
    assert load_bundle(folder) == Bundle(manifest, ITEMS, HISTORIES, folder)


def test_only_an_item_that_is_not_read_says_so_in_its_line(folder: Path) -> None:
    items = (*ITEMS, Item("new", "New", is_read=False))
    save(folder, items)

    lines = list(map(json.loads, (folder / "items.jsonl").read_text().strip("\n").split("\n")))
    assert [each.get("is_read") for each in lines] == [None, None, False]
    assert load_bundle(folder).items == items


def test_equal_content_has_an_equal_model_version(tmp_path: Path) -> None:
    assert save(tmp_path / "one").model_version == save(tmp_path / "two").model_version


def test_another_graph_or_title_is_another_model_version(tmp_path: Path) -> None:
    versions = {
        save(tmp_path / "a").model_version,
        save(tmp_path / "b", graph=b"other").model_version,
        save(tmp_path / "c", items=(Item("up", "Up"), ITEMS[1])).model_version,
    }
    assert len(versions) == 3


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_is_refused_with_the_name_of_its_file(
    folder: Path, name: str
) -> None:
    path = folder / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
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


def test_the_manifest_is_for_people_to_read(tmp_path: Path) -> None:
    save(tmp_path / "bundle")
    assert '\n  "student": "sasrec",\n' in BundleLayout(tmp_path / "bundle").manifest.read_text()


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


def test_a_bundle_that_could_not_be_loaded_does_not_replace_one_that_can(folder: Path) -> None:
    twice = (ITEMS[0], ITEMS[0])
    with pytest.raises(BundleError, match="line 2"):
        save(folder, items=twice)
    assert load_bundle(folder).items == ITEMS


def test_a_history_that_is_no_list_of_ids_is_refused_with_its_line(folder: Path) -> None:
    path = BundleLayout(folder).histories
    path.write_text('["up"]\n["up", 1]\n')
    sha256 = json.loads(BundleLayout(folder).manifest.read_text())["sha256"]
    sha256[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    forge(folder, {"sha256": sha256})
    with pytest.raises(BundleError, match=r"histories\.jsonl: line 2: not a list of item ids"):
        load_bundle(folder)


def test_a_bundle_of_a_student_without_embeddings_has_no_item_encoder(folder: Path) -> None:
    assert load_bundle(folder).read_item_encoder() == b"encoder"
    model = folder.parent / "exported.onnx"
    facts: dict[str, Any] = {"metrics": {}, "parity_error": 0.0, "provenance": {}}
    save_bundle(folder, model, ITEMS, student="sasrec", max_history_length=50, **facts)
    assert load_bundle(folder).read_item_encoder() is None
    assert load_bundle(folder).histories == ()


def test_a_common_case_graph_is_read_where_there_is_one(folder: Path) -> None:
    assert load_bundle(folder).read_common_case() is None
    common_case = folder.parent / "exported.common_case.onnx"
    common_case.write_bytes(b"common-case graph")
    facts: dict[str, Any] = {"metrics": {}, "parity_error": 0.0, "provenance": {}}
    facts |= {"student": "sasrec", "max_history_length": 50}
    save_bundle(folder, folder.parent / "exported.onnx", ITEMS, common_case=common_case, **facts)
    bundle = load_bundle(folder)
    assert bundle.read_common_case() == b"common-case graph"
    BundleLayout(folder).common_case.write_bytes(b"another")
    with pytest.raises(BundleError, match=r"plain\.onnx: sha256"):
        bundle.read_common_case()


def test_a_bundle_of_schema_3_is_read_with_what_was_true_of_all_of_them() -> None:
    """The folder was written by the last program of schema 3."""
    bundle = load_bundle(Path(__file__).parent / "schema_3")
    manifest = bundle.manifest
    assert (manifest.schema_version, manifest.model_version) == (3, "0c7bad09262c")
    assert (manifest.student, manifest.metrics["seed"]) == ("sasrec", 1)
    assert (manifest.origin, manifest.protocol) == ("distilled", "validation")
    assert (manifest.trained_until, manifest.scorer) == (None, None)
    assert (list(manifest.figures), manifest.verdict) == ([], "")
    assert bundle.read_common_case() == b"common-case graph"


@pytest.mark.parametrize("name", ["manifest.json", "plain.onnx"])
def test_one_flipped_bit_in_a_bundle_of_schema_3_is_refused(name: str, tmp_path: Path) -> None:
    path = shutil.copytree(Path(__file__).parent / "schema_3", tmp_path / "old") / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BundleError, match=name):
            load_bundle(tmp_path / "old")


def test_the_figures_and_the_verdict_are_loaded_as_they_were_saved(folder: Path) -> None:
    figure = Figure(
        row="popularity",
        student="",
        teacher_free=True,
        protocol="validation",
        split="test",
        targets="all",
        metric="NDCG@20",
        mean=0.5,
        low=0.25,
        high=0.75,
        seeds=1,
    )
    facts: dict[str, Any] = {"metrics": {}, "parity_error": 0.0, "provenance": {}}
    facts |= {"student": "sasrec", "max_history_length": 50}
    facts |= {"figures": (figure,), "verdict": "It is above popularity.", "trained_until": 9}
    saved = save_bundle(folder, folder.parent / "exported.onnx", ITEMS, **facts)
    manifest = load_bundle(folder).manifest
    assert manifest == saved
    assert (manifest.figures, manifest.trained_until) == ((figure,), 9)
    assert manifest.verdict == "It is above popularity."


def test_a_replaced_graph_is_not_read_as_the_loaded_one(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.read_model() == b"graph"
    save(folder, graph=b"successor")
    with pytest.raises(BundleError, match=r"model\.onnx: sha256"):
        bundle.read_model()


def test_a_link_to_a_bundle_stays_a_link_when_the_bundle_is_replaced(folder: Path) -> None:
    link = folder.with_name("current")
    link.symlink_to(folder)
    successor = save(link, graph=b"successor")
    assert link.is_symlink()
    assert load_bundle(folder).manifest == successor


def test_a_kill_at_any_step_of_a_save_leaves_the_old_or_the_new_bundle(folder: Path) -> None:
    found = []
    for steps in count():
        save(folder)
        program = [sys.executable, "-c", KILLED_SAVE, str(folder.parent), str(steps)]
        killed = subprocess.run(program, check=False).returncode == 9
        found.append(load_bundle(folder).items[0].item_id)
        save(folder)
        assert load_bundle(folder).items == ITEMS
        if not killed:
            break
    assert len(found) > 12
    assert found == sorted(found, key=["up", "new"].index)
    assert {"up", "new"} == set(found[:-1])


def test_a_bundle_can_be_loaded_at_any_moment_of_its_replacement(folder: Path) -> None:
    done = Event()

    def replace_often() -> None:
        for number in range(100):
            save(folder, graph=str(number).encode())
        done.set()

    saving = Thread(target=replace_often)
    saving.start()
    loads = 0
    while not done.is_set():
        assert load_bundle(folder).items == ITEMS
        loads += 1
    saving.join()
    assert loads > 0


def test_nothing_is_left_beside_a_saved_bundle(folder: Path) -> None:
    save(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "bundle",
        "encoder.onnx",
        "exported.onnx",
    ]
