"""A kill at every rename of every stage leaves the old result or the new one.

The stages are those of the whole offline road, the export and the publishing of a bundle included.
"""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from export import __main__ as export
from export.contract.bundle import load_bundle
from export.contract.bundles_folder import publish
from export.contract.folders import readable_folder
from export.freeze import Graphs
from export.graphs.common_case_graph import export_common_case_graph
from export.graphs.ranking_graph import export_ranking_graph
from tests.export.contract.small_bundle import save_small_bundle
from tests.export.graphs.searched import summing_encoder
from tests.training.kills import Killed, kill_at_rename
from tests.training.teacher.conftest import prepare_chain, random_llama, saved
from training import distill, evaluate, prepare, teach
from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.knowledge import load_knowledge
from training.students.student import Student


@dataclass(frozen=True)
class Stage:
    """A stage that has left a result and is about to replace it with another one.

    Attributes:
        work: the folder that it writes into.
        result: the folder of its result, in `work`.
        write: runs it with the new input.
        read: reads the result as its users do, and tells old from new; raises if it is not whole.
    """

    work: Path
    result: Path
    write: Callable[[], object]
    read: Callable[[Path], object]


MakeStage = Callable[[pytest.FixtureRequest], Stage]


@pytest.fixture(autouse=True)
def _same_seconds_in_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results hold how long they took; a killed run's scratch folders go with `tmp_path`."""
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))


def run(program: Callable[[list[str]], int], config: Path, *options: str) -> None:
    assert program([str(config), "--work", str(config.parent / "work"), *options]) == 0


def replaced(path: Path, old: str, new: str) -> None:
    """Changes a setting in an experiment file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def prepare_stage(request: pytest.FixtureRequest) -> Stage:
    folder: Path = request.getfixturevalue("tmp_path")
    (folder / "items.csv").write_text("item_id,title\na,Alien\nb,Brazil\nc,Clue\n")
    rows = [f"{'ann' if row % 2 else 'bob'},{'abc'[row % 3]},{row}" for row in range(10)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    config = folder / "tiny.toml"
    config.write_text(
        'name = "tiny"\n[data]\nsource = "tables"\nmin_interactions = 2\n'
        f'interactions = "{folder}/interactions.csv"\nitems = "{folder}/items.csv"\n'
    )
    run(prepare.main, config)
    replaced(folder / "items.csv", "Alien", "Aliens")
    work = folder / "work"
    return Stage(
        work,
        work / "tiny" / "dataset",
        lambda: run(prepare.main, config),
        lambda result: load_dataset(result).catalog.titles[0],
    )


def teach_stage(request: pytest.FixtureRequest) -> Stage:
    folder: Path = request.getfixturevalue("tmp_path")
    dataset: Dataset = request.getfixturevalue("chain_dataset")
    model = saved(random_llama, folder / "llm")
    config = prepare_chain(
        folder,
        dataset,
        str(model),
        'kind = "titles"\nlist_length = 3\n[distillation]\nlist_length = 3',
    )
    run(teach.main, config)
    replaced(config, "list_length = 3\n[", "list_length = 4\ntokens_per_batch = 512\n[")
    work = folder / "work"
    return Stage(
        work,
        work / "chain" / "knowledge-titles",
        lambda: run(teach.main, config),
        lambda result: load_knowledge(result, dataset).train.rankings.shape,
    )


def distill_stage(request: pytest.FixtureRequest) -> Stage:
    config: Path = request.getfixturevalue("chain_config")
    options = ("--variant", "distilled", "--seed", "0", "--workers", "1")
    replaced(config, "max_epochs = 3", "max_epochs = 1")
    replaced(config, "hidden_size = 16", "hidden_size = 8")
    run(distill.main, config, *options)
    replaced(config, "hidden_size = 8", "hidden_size = 16")
    work = config.parent / "work"
    return Stage(
        work,
        work / "chain" / "checkpoints" / "distilled-0",
        lambda: run(distill.main, config, *options),
        lambda result: load_checkpoint(result).description.student.hidden_size,
    )


def refit_stage(request: pytest.FixtureRequest) -> Stage:
    """The best student is trained anew, and then its two refits."""
    config: Path = request.getfixturevalue("chain_config")
    options = ("--variant", "distilled", "--workers", "1", "--refit")
    replaced(config, "seeds = [0, 1]", "seeds = [0]")
    replaced(config, "max_epochs = 3", "max_epochs = 1")
    replaced(config, "hidden_size = 16", "hidden_size = 8")
    run(distill.main, config, *options)
    replaced(config, "hidden_size = 8", "hidden_size = 16")
    work = config.parent / "work"
    return Stage(
        work,
        work / "chain" / "refits" / "distilled-0-refit-all",
        lambda: run(distill.main, config, *options),
        lambda result: load_checkpoint(result).description.student.hidden_size,
    )


def evaluate_stage(request: pytest.FixtureRequest) -> Stage:
    config: Path = request.getfixturevalue("chain_config")
    replaced(config, "max_epochs = 3", "max_epochs = 1")
    run(distill.main, config, "--workers", "1")
    replaced(config, "seeds = [0, 1]", "seeds = [0]")
    run(evaluate.main, config)
    work = config.parent / "work"
    shutil.rmtree(work / "chain" / "baselines")
    replaced(config, "seeds = [0]", "seeds = [0, 1]")

    def read(result: Path) -> object:
        """The number of seeds in the JSON, where the Markdown has the same rows."""
        folder = readable_folder(result)
        rows = json.loads((folder / "results.json").read_text())["rows"]
        names = re.findall(r"^\| (\w.*?) \|", (folder / "results.md").read_text(), re.MULTILINE)
        assert names == [row["name"] for row in rows]
        return len(rows[-1]["runs"])

    return Stage(work, work / "chain" / "results", lambda: run(evaluate.main, config), read)


def export_stage(request: pytest.FixtureRequest) -> Stage:
    config: Path = request.getfixturevalue("chain_config")
    replaced(config, "max_epochs = 3", "max_epochs = 1")
    run(distill.main, config, "--variant", "distilled", "--seed", "0", "1", "--workers", "1")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr("export.freeze.export_graphs", graphs_without_torch)
    replaced(config, "seeds = [0, 1]", "seeds = [0]")
    run(export.main, config)
    replaced(config, "seeds = [0]", "seeds = [1]")
    work = config.parent / "work"
    return Stage(
        work,
        work / "chain" / "bundle",
        lambda: run(export.main, config),
        lambda result: load_bundle(result).manifest.metrics["seed"],
    )


def export_refit_stage(request: pytest.FixtureRequest) -> Stage:
    """A bundle of validation's student is replaced with that of its refit."""
    config: Path = request.getfixturevalue("chain_config")
    replaced(config, "seeds = [0, 1]", "seeds = [0]")
    replaced(config, "max_epochs = 3", "max_epochs = 1")
    run(distill.main, config, "--variant", "distilled", "--workers", "1", "--refit")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr("export.freeze.export_graphs", graphs_without_torch)
    run(export.main, config)
    work = config.parent / "work"
    return Stage(
        work,
        work / "chain" / "bundle",
        lambda: run(export.main, config, "--refit"),
        lambda result: load_bundle(result).manifest.protocol == "refit",
    )


def graphs_without_torch(student: Student, folder: Path, *_: object) -> Graphs:
    """Writes graphs of the student's items with a simpler encoder: torch's takes seconds."""
    encoder = summing_encoder(student.item_table.offsets.detach().numpy())
    graphs = Graphs(folder / "model.onnx", folder / "plain.onnx", parity_error=0.0)
    export_ranking_graph(encoder, graphs.model)
    assert export_common_case_graph(encoder, folder / "plain.onnx")
    return graphs


def publish_stage(request: pytest.FixtureRequest) -> Stage:
    folder: Path = request.getfixturevalue("tmp_path")
    save_small_bundle(folder / "bundle", "Up")
    link = publish(folder / "bundle", folder / "bundles")
    save_small_bundle(folder / "bundle", "Down")
    return Stage(
        folder / "bundles",
        link.path,
        lambda: publish(folder / "bundle", folder / "bundles"),
        lambda result: load_bundle(result).items[0].title,
    )


def publish_again_stage(request: pytest.FixtureRequest) -> Stage:
    """Publishes over a damaged copy, which is in nobody's use; the link moves to it then."""
    stage = publish_stage(request)
    old = stage.result.readlink()
    stage.write()
    damaged = stage.work / stage.result.readlink().name
    stage.result.unlink()
    stage.result.symlink_to(old)
    (damaged / "items.jsonl").write_text("")
    return stage


def files_of(work: Path) -> dict[str, bytes]:
    """The content of every file in sight, and where every link points."""
    return {
        str(path.relative_to(work)): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(work.rglob("[!.]*"))
        if (path.is_symlink() or path.is_file())
        and not any(part.startswith(".") for part in path.relative_to(work).parts)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make_stage", "least_renames"),
    [
        (prepare_stage, 3),
        (teach_stage, 5),
        (distill_stage, 4),
        (refit_stage, 8),
        (evaluate_stage, 6),
        (export_stage, 3),
        (export_refit_stage, 3),
        (publish_stage, 3),
        (publish_again_stage, 4),
    ],
)
def test_a_kill_at_any_rename_leaves_the_old_result_or_the_new_and_the_next_run_the_new(
    make_stage: MakeStage, least_renames: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    stage = make_stage(request)
    before = tmp_path / "before"
    shutil.copytree(stage.work, before, symlinks=True)
    old = stage.read(stage.result)
    with kill_at_rename(stage.work, None) as uninterrupted:
        stage.write()
    new, files = stage.read(stage.result), files_of(stage.work)
    assert old != new
    assert uninterrupted.num_renames >= least_renames

    found = []
    for renames in range(uninterrupted.num_renames):
        shutil.rmtree(stage.work)
        shutil.copytree(before, stage.work, symlinks=True)
        with kill_at_rename(stage.work, renames) as kill, suppress(Killed):
            stage.write()
        assert kill.is_dead
        found.append(stage.read(stage.result))
        stage.write()
        assert files_of(stage.work) == files, f"after a kill before rename {renames}"
        assert not list(stage.work.rglob(".*.replaced"))
    assert found == sorted(found, key=[old, new].index)
    assert found[0] == old
