import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.__main__ import is_bundle_of, main
from export.contract.bundle import BundleLayout, load_bundle
from export.contract.bundles_folder import BundleLink
from export.sessions import RankingSession
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset, save_dataset
from training.distillation.best_refits import refits_of_best
from training.distillation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.distillation.job import jobs_of
from training.evaluation.baselines.registry import BASELINES
from training.evaluation.baselines.runs import baseline_evaluations
from training.evaluation.yardstick import evaluate, ranker_of
from training.knowledge import Answers, Knowledge, load_knowledge, save_knowledge
from training.settings.experiment import load_experiment
from training.stage import write_stage
from training.students.registry import build_student
from training.students.scorer import StudentScorer
from training.students.student import Student
from training.workplace import Workplace

NO_ANSWERS = Answers(
    rows=np.zeros(0, dtype=np.int64),
    rankings=np.zeros((0, 20), dtype=np.int32),
    distances=np.zeros((0, 20), dtype=np.float32),
    next_item_distances=np.zeros(0, dtype=np.float32),
)


@pytest.fixture
def workplace(dataset: Dataset, item_embeddings: NDArray[np.float32], tmp_path: Path) -> Workplace:
    """A dataset and knowledge, as `prepare` and `teach` write them, and the experiment file."""
    (tmp_path / "films.toml").write_text(
        'name = "films"\n[data]\nsource = "movielens"\n[training]\nseeds = [0, 1]\n'
    )
    workplace = Workplace(tmp_path / "work" / "films")
    with write_stage(workplace.dataset, "stamp") as folder:
        save_dataset(dataset, folder)
    knowledge = Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=NO_ANSWERS,
        validation=NO_ANSWERS,
        test=NO_ANSWERS,
        item_embeddings=item_embeddings,
        provenance={
            "model": "a film fan",
            "costs": {"endpoint": {"base_url": "http://llm.internal"}},
        },
    )
    with write_stage(workplace.titles_knowledge, "stamp") as folder:
        save_knowledge(knowledge, folder)
    return workplace


def train(
    workplace: Workplace, checkpoint: Checkpoint, variant: str, seed: int, ndcg: float
) -> None:
    changes = {"variant": variant, "seed": seed, "validation": {"NDCG@20": ndcg}}
    trained = replace(checkpoint, description=checkpoint.description.model_copy(update=changes))
    experiment = load_experiment(workplace.folder.parent.parent / "films.toml")
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(workplace.titles_knowledge, dataset)
    (stamp,) = (
        job.stamp for job in jobs_of(experiment, dataset, knowledge, [variant]) if job.seed == seed
    )
    save_checkpoint(trained, workplace.checkpoints / trained.name, stamp)


def export(workplace: Workplace, *more: str) -> int:
    work = workplace.folder.parent
    return main([str(work.parent / "films.toml"), "--work", str(work), *more])


@pytest.fixture
def distilled_twice(workplace: Workplace, checkpoint: Checkpoint) -> Workplace:
    """Two distilled students, of which validation prefers distilled-1."""
    train(workplace, checkpoint, "distilled", 0, 0.1)
    train(workplace, checkpoint, "distilled", 1, 0.2)
    return workplace


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


@pytest.mark.parametrize("changed", ["knowledge", "draws"])
def test_figures_of_a_teacher_that_was_asked_again_or_of_other_draws_make_the_bundle_again(
    changed: str, workplace: Workplace, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        train(workplace, checkpoint, "plain", seed, 0.1)
    assert export(workplace, "--variant", "plain") == 0
    if changed == "knowledge":
        knowledge = load_knowledge(workplace.titles_knowledge, load_dataset(workplace.dataset))
        with write_stage(workplace.titles_knowledge, "another stamp") as folder:
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


def refit(workplace: Workplace, student: Student) -> list[Checkpoint]:
    """Refits the better of two students by hand: one has other offsets than the other."""
    experiment = load_experiment(workplace.folder.parent.parent / "films.toml")
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(workplace.titles_knowledge, dataset)
    jobs = list(jobs_of(experiment, dataset, knowledge, ["distilled"]))
    trained = []
    for shift, job in enumerate(refits_of_best(jobs, workplace.checkpoints).values()):
        state = {name: each.clone() for name, each in student.state_dict().items()}
        state["item_table.offsets"] += shift * torch.randn(len(state["item_table.offsets"]), 1)
        description = load_checkpoint(workplace.checkpoints / "distilled-1").description
        changes: dict[str, object] = {"protocol": job.protocol, "validation": {}}
        trained.append(Checkpoint(description.model_copy(update=changes), state))
        save_checkpoint(trained[-1], workplace.refits / job.name, job.stamp)
    return trained


@pytest.mark.slow
def test_a_refit_is_served_with_the_test_figures_of_its_twin_that_has_not_seen_test(
    distilled_twice: Workplace,
    checkpoint: Checkpoint,
    student: Student,
    dataset: Dataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workplace = distilled_twice
    train(workplace, checkpoint, "plain", 0, 0.3)
    twin, served = refit(workplace, student)

    assert export(workplace, "--refit") == 0
    assert (
        "to export it: `distill CONFIG --refit --variant plain`, then "
        "`export CONFIG --refit --variant plain`\n" in capsys.readouterr().out
    )

    bundle = load_bundle(workplace.bundle)
    manifest = bundle.manifest
    assert (manifest.protocol, manifest.trained_until) == ("refit", None)
    assert manifest.provenance["checkpoint"]["protocol"] == "refit-all"
    assert manifest.provenance["measured"]["protocol"] == "refit"
    rows = dataset.example_rows(Split.TEST)
    of_twin, of_served = (
        evaluate(ranker_of(StudentScorer(each.student(), dataset), dataset), dataset, rows)
        for each in (twin, served)
    )
    assert manifest.metrics["test"]["NDCG@20"] == pytest.approx(of_twin.metrics["NDCG@20"])
    assert of_twin.metrics != of_served.metrics
    history = torch.tensor([[3, 7, 2]])
    session = RankingSession(BundleLayout(workplace.bundle).model)
    items, _ = session.rank(history.numpy(), 5, mask_seen=False)
    scores = served.student().score(history)[0, 1:]
    assert items[0].tolist() == (scores.topk(5).indices + 1).tolist()
    assert [each.popularity for each in bundle.items] == [
        int((dataset.item_indices == item).sum()) for item in range(1, 31)
    ]
    assert "SASRec DLLM2Rec (seed 1, refitted)" in manifest.verdict
    assert manifest.verdict.endswith("It was not compared with a student without a teacher.")
    assert {(each.row, each.protocol, each.split) for each in manifest.figures} == {
        (name, "refit", "test") for name in ("DLLM2Rec", *BASELINES)
    }
    assert export(workplace) == 0, "a bundle of one protocol is not current for the other"
    assert load_bundle(workplace.bundle).manifest.protocol == "validation"


def test_without_a_refit_the_command_that_makes_it_is_named(
    distilled_twice: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(distilled_twice, "--refit") == 2
    assert "run `distilled-recommender distill CONFIG --refit`" in capsys.readouterr().err
    assert not distilled_twice.bundle.exists()


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
