"""`export` picks the student, and makes its bundle again only when something has changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.__main__ import is_bundle_of
from export.contract.bundle import BundleLayout, load_bundle
from export.contract.bundles_folder import BundleLink
from tests.export.program.conftest import export, train
from training.data.storage import load_dataset
from training.distillation.checkpoint import Checkpoint
from training.knowledge import load_knowledge, save_knowledge
from training.stage import write_stage
from training.students.registry import build_student
from training.workplace import Workplace


def test_the_best_distilled_student_is_exported_once(
    workplace: Workplace, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    train(workplace, checkpoint, "plain", 0, 0.5)
    train(workplace, checkpoint, "distilled", 0, 0.1)
    train(workplace, checkpoint, "distilled", 1, 0.2)

    assert export(workplace) == 0
    provenance = load_bundle(workplace.bundle).manifest.provenance
    assert provenance["checkpoint"]["name"] == "distilled-1"
    assert provenance["knowledge"] == {"model": "a film fan", "costs": {}}
    assert provenance["experiment"]["name"] == "films"
    assert "base_url" not in json.dumps(provenance)
    assert "test       NDCG@20 served 0." in capsys.readouterr().out

    assert export(workplace) == 0
    assert capsys.readouterr().out == f"{workplace.bundle} is current, nothing to do\n"

    made_from = provenance["made_from"]
    assert is_bundle_of(made_from, workplace.bundle)
    assert not is_bundle_of("another checkpoint", workplace.bundle)
    BundleLayout(workplace.bundle).items.write_text("")
    assert not is_bundle_of(made_from, workplace.bundle)


def test_a_better_student_without_a_teacher_is_named_with_both_figures_and_exported_if_asked_for(
    workplace: Workplace, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    train(workplace, checkpoint, "plain", 0, 0.4495)
    train(workplace, checkpoint, "distilled", 0, 0.4129)
    train(workplace, checkpoint, "distilled", 1, 0.2)

    assert export(workplace) == 0
    out = capsys.readouterr().out
    assert (
        "exporting distilled-0, the best of the distilled students on validation: NDCG@20 0.4129\n"
        "plain-0, which learned without a teacher, is better on validation: NDCG@20 0.4495; "
        "to export it: `export CONFIG --variant plain`\n" in out
    )

    train(workplace, checkpoint, "plain", 1, 0.1)
    assert export(workplace, "--variant", "plain") == 0
    out = capsys.readouterr().out
    assert (
        "exporting plain-0, the best of the plain students on validation: NDCG@20 0.4495\n" in out
    )
    manifest = load_bundle(workplace.bundle).manifest
    assert manifest.provenance["checkpoint"]["name"] == "plain-0"
    assert "SASRec CE (seed 0)" in manifest.verdict


def test_a_student_without_a_teacher_is_exported_where_there_is_no_knowledge(
    workplace: Workplace, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    for variant in ("plain", "distilled"):
        for seed in (0, 1):
            train(workplace, checkpoint, variant, seed, 0.1)
    workplace.knowledge_of("titles").rename(workplace.folder / "away")

    assert export(workplace, "--variant", "plain") == 0

    assert "left out: the figures of the titles teacher: " in capsys.readouterr().out
    manifest = load_bundle(workplace.bundle).manifest
    assert manifest.provenance["knowledge"] == {}
    assert not [each for each in manifest.figures if each.row.startswith("teacher")]
    assert export(workplace) == 2
    assert "make it with `distilled-recommender teach CONFIG`" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["knowledge", "draws"])
def test_figures_of_a_teacher_that_was_asked_again_or_of_other_draws_make_the_bundle_again(
    changed: str, workplace: Workplace, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        train(workplace, checkpoint, "plain", seed, 0.1)
    assert export(workplace, "--variant", "plain") == 0
    if changed == "knowledge":
        knowledge = load_knowledge(
            workplace.knowledge_of("titles"), load_dataset(workplace.dataset)
        )
        with write_stage(workplace.knowledge_of("titles"), "another stamp") as folder:
            save_knowledge(replace(knowledge, provenance={"model": "another fan"}), folder)
    else:
        with (workplace.folder.parent.parent / "films.toml").open("a") as file:
            file.write("[ladder]\nnum_resamples = 150\n")
    capsys.readouterr()

    assert export(workplace, "--variant", "plain") == 0

    assert "is current" not in capsys.readouterr().out


def test_a_student_with_random_features_is_exported_without_an_encoder_of_titles(
    workplace: Workplace, checkpoint: Checkpoint
) -> None:
    features = torch.from_numpy(np.random.default_rng(1).normal(size=(31, 9)).astype(np.float32))
    student = build_student(checkpoint.description.student, 31, features)
    with_features = replace(checkpoint, state=student.state_dict())
    variant = "plain-random-features"
    for seed in (0, 1):
        train(workplace, with_features, variant, seed, 0.1)

    assert export(workplace, "--variant", variant) == 0

    assert load_bundle(workplace.bundle).read_item_encoder() is None


def test_without_a_distilled_student_nothing_is_exported(
    workplace: Workplace, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    train(workplace, checkpoint, "plain", 0, 0.5)
    assert export(workplace) == 2
    assert "distilled-0: missing" in capsys.readouterr().err
    assert not workplace.bundle.exists()


def test_a_published_bundle_is_found_behind_the_link_and_the_one_before_is_remembered(
    workplace: Workplace, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = BundleLink(tmp_path / "bundles" / "active")
    versions = []
    for seed, ndcg in enumerate([0.1, 0.2]):
        train(workplace, checkpoint, "distilled", 0, 0.1)
        train(workplace, checkpoint, "distilled", 1, ndcg * seed)
        assert export(workplace, "--publish", str(tmp_path / "bundles")) == 0
        assert f"{link.path} is {link.bundle} now" in capsys.readouterr().out
        versions.append(load_bundle(link.path).manifest.model_version)
    assert versions == [link.previous, link.bundle]


def test_a_folder_that_cannot_be_published_into_is_named(
    workplace: Workplace, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(workplace, checkpoint, "distilled", 0, 0.1)
    train(workplace, checkpoint, "distilled", 1, 0.2)
    (tmp_path / "bundles").write_text("a file")
    assert export(workplace, "--publish", str(tmp_path / "bundles")) == 2
    assert f"error: --publish {tmp_path}/bundles:" in capsys.readouterr().err
