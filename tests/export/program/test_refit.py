"""`export --refit` serves a student that has seen all rows, with the figures of its twin."""

import pytest
import torch

from export.contract.bundle import BundleLayout, load_bundle
from export.sessions import RankingSession
from tests.export.program.conftest import export, train
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.distillation.best_refits import refits_of_best
from training.distillation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.distillation.experiment_jobs import jobs_of
from training.evaluation.baselines.registry import BASELINES
from training.evaluation.yardstick import evaluate, ranker_of
from training.knowledge import load_knowledge
from training.settings.experiment import load_experiment
from training.students.scorer import StudentScorer
from training.students.student import Student
from training.workplace import Workplace


def refit(workplace: Workplace, student: Student) -> list[Checkpoint]:
    """Refits the better of two students by hand: one has other offsets than the other."""
    experiment = load_experiment(workplace.folder.parent.parent / "films.toml")
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(workplace.knowledge_of("titles"), dataset)
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
