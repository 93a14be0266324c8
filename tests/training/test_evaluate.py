"""The program `evaluate`: the verdict below its table, and baselines that are tuned once."""

import json
import math
import shutil
from pathlib import Path

import pytest

from tests.training.conftest import make_chain, write_chain
from training import distill, evaluate
from training.evaluation.baselines.registry import BASELINES
from training.evaluation.baselines.runs import BaselineRun
from training.evaluation.intervals import Interval


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an experiment whose students are trained; tests get a copy of it."""
    folder = tmp_path_factory.mktemp("trained")
    config = write_chain(make_chain(), folder)
    text = config.read_text().replace("learning_rate = 1e-2", "learning_rate = 1e-3")
    config.write_text(text.replace("max_epochs = 3", "max_epochs = 1"))
    assert distill.main([str(config), "--work", str(folder / "work"), "--workers", "1"]) == 0
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """An experiment whose students have so little training that no two rank the same."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "chain.toml"


def run_evaluate(config: Path) -> dict[str, object]:
    assert evaluate.main([str(config), "--work", str(config.parent / "work")]) == 0
    results: dict[str, object] = json.loads((folder(config) / "results.json").read_text())
    return results


def folder(config: Path) -> Path:
    return config.parent / "work" / "chain" / "results"


def test_the_table_ends_with_the_verdict_on_the_student_to_export(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run_evaluate(trained)

    verdict = str(results["verdict"])
    seed = str(results["export"]).removeprefix("distilled-")
    assert verdict.startswith(
        f"On 30 test examples, the NDCG@20 of SASRec DLLM2Rec (seed {seed}) is "
    )
    assert capsys.readouterr().out.endswith(f"\n\n{verdict}\n"), "it is the last line"
    assert (folder(trained) / "results.md").read_text().endswith(f"|\n\n{verdict}\n")


def test_the_verdict_compares_the_exported_seed_with_every_baseline(trained: Path) -> None:
    results = run_evaluate(trained)

    rows = {row["name"]: row for row in results["rows"]}  # type: ignore[attr-defined]
    seed = int(str(results["export"]).removeprefix("distilled-"))
    of_student = rows["SASRec DLLM2Rec"]["runs"][seed]["NDCG@20"]
    of_students = [
        run["NDCG@20"] for name in ("SASRec CE", "SASRec DLLM2Rec") for run in rows[name]["runs"]
    ]
    assert of_students.count(of_student) == 1
    differences = results["differences"]
    assert isinstance(differences, list)
    *of_baselines, _ = differences
    assert [each["against"] for each in of_baselines] == list(BASELINES)
    for each in of_baselines:
        of_baseline = rows[each["against"]]["metrics"]["NDCG@20"]["mean"]
        assert each["mean"] == pytest.approx(of_student - of_baseline)
        assert each["low"] <= each["mean"] <= each["high"]
        assert each["against"] in str(results["verdict"])


def test_the_verdict_compares_the_student_to_export_with_the_best_without_a_teacher(
    trained: Path,
) -> None:
    results = run_evaluate(trained)

    students = results["students"]
    assert isinstance(students, dict)
    plain = {
        each["seed"]: each["validation"]["NDCG@20"]
        for each in students.values()
        if each["variant"] == "plain"
    }
    seed = max(plain, key=lambda each: plain[each])  # validation chooses, as for the distilled one
    rows = {row["name"]: row for row in results["rows"]}  # type: ignore[attr-defined]
    of_student = rows["SASRec DLLM2Rec"]["runs"][int(str(results["export"])[-1])]["NDCG@20"]
    differences = results["differences"]
    assert isinstance(differences, list)
    last = differences[-1]
    assert last["against"] == f"the same student without a teacher (seed {seed})"
    assert last["mean"] == pytest.approx(of_student - rows["SASRec CE"]["runs"][seed]["NDCG@20"])
    assert last["against"] in str(results["verdict"])


def test_the_verdict_says_over_all_seeds_whether_the_teacher_helped(trained: Path) -> None:
    results = run_evaluate(trained)

    rows = {row["name"]: row for row in results["rows"]}  # type: ignore[attr-defined]
    means = [rows[f"SASRec {name}"]["metrics"]["NDCG@20"]["mean"] for name in ("DLLM2Rec", "CE")]
    of_teacher = results["of_teacher"]
    assert isinstance(of_teacher, dict)
    seeds = of_teacher["seeds"]
    assert seeds == len(rows["SASRec CE"]["runs"]) > 1
    assert of_teacher["mean"] == pytest.approx(means[0] - means[1])
    assert f" Over {seeds} seeds, " in str(results["verdict"])


@pytest.mark.slow
def test_a_second_evaluation_tunes_no_baseline(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_evaluate(trained)
    monkeypatch.delattr(BaselineRun, "tune")

    assert run_evaluate(trained)["rows"] == first["rows"]


def test_the_loss_after_shuffled_histories_is_told_and_its_ranks_are_kept(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = trained.parent / "work"
    assert evaluate.main([str(trained), "--work", str(work), "--shuffled"]) == 0

    results = json.loads((folder(trained) / "results.json").read_text())
    means = {row["name"]: row["metrics"]["NDCG@20"]["mean"] for row in results["rows"]}
    change = results["changes"]["SASRec DLLM2Rec, shuffled histories"]
    shuffled = means["SASRec DLLM2Rec, shuffled histories"]
    assert change["mean"] == pytest.approx(shuffled / means["SASRec DLLM2Rec"] - 1)
    assert change["low"] <= change["mean"] <= change["high"]
    assert "SASRec DLLM2Rec, shuffled histories: " in capsys.readouterr().out
    kept = sorted(path.stem for path in (folder(trained) / "shuffled").glob("*.npz"))
    assert kept == sorted(results["students"])


def test_results_are_json_though_a_student_without_a_hit_has_no_relative_change(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undefined = Interval(math.nan, math.nan, math.nan)
    monkeypatch.setattr(evaluate, "relative_change", lambda *_: undefined)
    work = trained.parent / "work"
    assert evaluate.main([str(trained), "--work", str(work), "--shuffled"]) == 0

    text = (folder(trained) / "results.json").read_text()
    changes = json.loads(text, parse_constant=pytest.fail)["changes"].values()
    assert {each["mean"] for each in changes} == {None}
    assert "shuffled histories: undefined of NDCG@20" in capsys.readouterr().out
