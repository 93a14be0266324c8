import json
import sys
from pathlib import Path

import numpy as np
import pytest

from distilled_recommender.app import main
from export.contract.bundle import load_bundle
from export.imports.foreign import PROGRAMS, Given, bundle_of, import_model
from tests.export.encoders import save_encoder
from training.errors import ConfigError, DataError


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A folder as a library's program writes it: an encoder of the mean vector, and two items."""
    folder = tmp_path / "exported"
    folder.mkdir()
    save_encoder(folder / "encoder.onnx")
    np.save(folder / "vectors.npy", np.eye(2), allow_pickle=False)
    (folder / "items.json").write_text(json.dumps(["b", "a"]))
    facts = {"program": "rectools 0.19", "model": "sasrec", "max_history_length": 3}
    (folder / "facts.json").write_text(json.dumps(facts))
    return folder


def test_a_bundle_names_the_library_that_trained_its_model(exported: Path, tmp_path: Path) -> None:
    manifest = bundle_of("rectools", exported, tmp_path / "bundle", num_random=5)

    assert (manifest.origin, manifest.student) == ("rectools", "sasrec")
    assert manifest.provenance["trained_by"] == "rectools 0.19"
    items = load_bundle(tmp_path / "bundle").items
    assert [(each.item_id, each.title) for each in items] == [("b", "b"), ("a", "a")]


def test_items_and_interactions_that_the_model_does_not_know_are_left_out(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\na,Alpha\nnew,New\nb,Beta\n")
    (tmp_path / "h.csv").write_text("user_id,item_id,position\nu,a,1\nu,new,2\nu,b,3\n")
    items, histories = tmp_path / "items.csv", tmp_path / "h.csv"
    manifest = bundle_of(
        "rectools",
        exported,
        tmp_path / "bundle",
        Given(items, histories),
        num_random=5,
    )

    titles = [each.title for each in load_bundle(tmp_path / "bundle").items]
    assert titles == ["Beta", "Alpha"]
    assert manifest.metrics["test"]["HR@1"] == 1.0  # b after a, the only unseen item
    assert "1 interactions with items that the model does not know" in capsys.readouterr().out


def test_an_item_of_the_model_that_the_table_lacks_is_named(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\na,Alpha\n")
    with pytest.raises(DataError, match=r"items\.csv: 1 items of the model .* such as 'b'"):
        bundle_of("rectools", exported, tmp_path / "bundle", Given(tmp_path / "items.csv"))


def test_a_python_without_the_library_is_told_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "model.ckpt"
    checkpoint.write_bytes(b"a model")
    words = ["bundle", "import", "rectools", str(checkpoint), str(tmp_path / "bundle")]

    assert main([*words, "--python", sys.executable]) == 2
    error = capsys.readouterr().err
    assert "No module named 'rectools'; it needs the packages rectools, onnx" in error
    assert main([*words, "--python", str(tmp_path / "nothing")]) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.ckpt: no such file"):
        import_model(
            "recbole",
            tmp_path / "nowhere.ckpt",
            tmp_path / "bundle",
            Path(sys.executable),
        )


def test_the_programs_of_the_libraries_exist_and_import_nothing_of_this_project() -> None:
    for path in PROGRAMS.values():
        lines = path.read_text("utf-8").splitlines()
        imports = [line for line in lines if line.startswith(("import ", "from "))]
        assert imports
        own = ("export", "training", "service", "distilled_recommender")
        assert not [line for line in imports if line.split()[1].split(".")[0] in own]
