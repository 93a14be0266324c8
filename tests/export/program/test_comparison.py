"""The figures and the verdict of a bundle's manifest."""

import pytest

from export.contract.bundle import load_bundle
from tests.export.program.conftest import export, train
from training.data.dataset import Dataset
from training.distillation.checkpoint import Checkpoint
from training.evaluation.baselines.registry import BASELINES
from training.evaluation.baselines.runs import baseline_evaluations
from training.workplace import Workplace


def test_a_manifest_shows_the_student_beside_every_baseline_and_says_which_it_beats(
    workplace: Workplace, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """This teacher has answered nothing, so it has no row."""
    train(workplace, checkpoint, "distilled", 0, 0.1)
    train(workplace, checkpoint, "distilled", 1, 0.2)
    assert export(workplace) == 0
    manifest = load_bundle(workplace.bundle).manifest
    test = {each.row: each for each in manifest.figures if each.split == "test"}
    assert list(test) == ["DLLM2Rec", *BASELINES]
    assert "VMIS-kNN" in test
    assert test["DLLM2Rec"].mean == manifest.metrics["test"]["HR@20"]
    assert "SASRec DLLM2Rec (seed 1)" in manifest.verdict
    assert all(name in manifest.verdict for name in BASELINES)
    assert manifest.verdict in capsys.readouterr().out


def test_a_manifest_compares_the_student_with_the_best_one_without_a_teacher_as_evaluate_does(
    workplace: Workplace, checkpoint: Checkpoint
) -> None:
    train(workplace, checkpoint, "distilled", 0, 0.2)
    train(workplace, checkpoint, "distilled", 1, 0.1)
    assert export(workplace) == 0
    alone = load_bundle(workplace.bundle).manifest.verdict
    train(workplace, checkpoint, "plain", 0, 0.1)
    train(workplace, checkpoint, "plain", 1, 0.3)
    assert export(workplace) == 0  # the bundle is not current any more

    manifest = load_bundle(workplace.bundle).manifest
    student, counterpart = (
        [each for each in manifest.figures if each.row == row and each.metric == "NDCG@20"]
        for row in ("DLLM2Rec", "CE")
    )
    assert [(each.split, each.teacher_free, each.student) for each in counterpart] == [
        ("validation", True, "SASRec"),
        ("test", True, "SASRec"),
    ]
    # They have the same weights here.
    assert counterpart[1].mean == pytest.approx(student[1].mean, abs=1e-3)
    assert "the same student without a teacher" not in alone
    assert "the same student without a teacher (seed 1)" in manifest.verdict


def test_of_a_large_catalog_export_measures_no_rival(
    distilled_twice: Workplace,
    checkpoint: Checkpoint,
    dataset: Dataset,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(distilled_twice, checkpoint, "plain", 0, 0.1)
    monkeypatch.setattr("export.compared_rankers._MAX_SCORES", 0)
    assert export(distilled_twice) == 0
    assert "the student is compared with what `evaluate` has stored" in capsys.readouterr().out
    assert "was compared with no baseline" in load_bundle(distilled_twice.bundle).manifest.verdict

    baseline_evaluations(dataset, distilled_twice.baselines)  # as `evaluate` stores them
    monkeypatch.setattr("export.__main__.RULES_VERSION", -1)  # makes the bundle again
    assert export(distilled_twice) == 0
    verdict = load_bundle(distilled_twice.bundle).manifest.verdict
    assert all(name in verdict for name in BASELINES)
    assert "the same student without a teacher" not in verdict


def test_of_a_large_catalog_the_figures_of_torch_are_left_out(
    distilled_twice: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export(distilled_twice) == 0
    assert ", torch 0." in capsys.readouterr().out

    monkeypatch.setattr("export.compared_rankers._MAX_SCORES", 0)
    monkeypatch.setattr("export.__main__.RULES_VERSION", -1)  # makes the bundle again
    assert export(distilled_twice) == 0
    out = capsys.readouterr().out
    assert "test       NDCG@20 served 0." in out
    assert ", torch" not in out
