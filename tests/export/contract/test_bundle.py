import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
    load_bundle,
    save_bundle,
)
from tests.conftest import TIMEOUT_SECONDS
from tests.export.contract.conftest import HISTORIES, ITEMS, save

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


def test_the_manifest_is_for_people_to_read(tmp_path: Path) -> None:
    save(tmp_path / "bundle")
    assert '\n  "student": "sasrec",\n' in BundleLayout(tmp_path / "bundle").manifest.read_text()


def test_a_bundle_that_could_not_be_loaded_does_not_replace_one_that_can(folder: Path) -> None:
    twice = (ITEMS[0], ITEMS[0])
    with pytest.raises(BundleError, match="line 2"):
        save(folder, items=twice)
    assert load_bundle(folder).items == ITEMS


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


def test_of_two_bundles_that_are_saved_in_one_place_at_once_none_has_a_file_of_the_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile, copied, read = shutil.copyfile, Event(), Event()

    def copy(source: Path, target: Path) -> None:
        copyfile(source, target)
        if source.name == "late.onnx":
            copied.set()
            read.wait(TIMEOUT_SECONDS)

    monkeypatch.setattr(shutil, "copyfile", copy)
    facts: Any = {"student": "s", "max_history_length": 5, "metrics": {}}
    facts |= {"parity_error": 0.0, "provenance": {}}
    for name in ("early", "late"):
        (folder.parent / f"{name}.onnx").write_bytes(name.encode())
    late = Thread(
        target=lambda: save_bundle(folder, folder.parent / "late.onnx", ITEMS, **facts),
        daemon=True,
    )

    def items_of_early() -> Iterator[Item]:
        late.start()
        copied.wait(1)  # a late one that does not wait for its turn has copied its graph by then
        yield from ITEMS

    try:
        save_bundle(folder, folder.parent / "early.onnx", items_of_early(), **facts)
    finally:
        read.set()
        late.join(TIMEOUT_SECONDS)
    assert load_bundle(folder).read_model() == b"late"


def test_a_path_that_the_system_refuses_is_told_as_a_bundle_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    with pytest.raises(BundleError, match="File name too long"):
        load_bundle(tmp_path / ("a" * 300))
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BundleError, match=r"loop.*: "):
        load_bundle(tmp_path / "loop")


def test_nothing_is_left_beside_a_saved_bundle(folder: Path) -> None:
    save(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "bundle",
        "encoder.onnx",
        "exported.onnx",
    ]
