"""The fusion teacher and its control without titles, taught by a tiny LLM."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training.teacher.conftest import run_teach
from training.data.dataset import REFITS, Dataset, Split
from training.distillation.job import Job
from training.errors import ConfigError
from training.evaluation.stored import answers_ranker
from training.evaluation.yardstick import evaluate
from training.knowledge import Knowledge
from training.settings.experiment import Experiment, load_experiment
from training.teacher.live.backends import load_live_teacher
from training.workplace import Workplace

Prepared = Callable[[str], Path]


@pytest.fixture(params=["fusion", "fusion-without-titles"])
def experiment(request: pytest.FixtureRequest, prepared: Prepared) -> Experiment:
    """An experiment that has been taught by each kind."""
    settings = f'kind = "{request.param}"\nlist_length = 7\n[distillation]\nlist_length = 7\n'
    return load_experiment(run_teach(prepared(settings)))


def test_it_knows_the_next_item_of_a_ring_without_having_learned_the_example(
    experiment: Experiment, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    for answers in (knowledge.train, knowledge.test):
        ranker = answers_ranker(answers)
        assert evaluate(ranker, chain_dataset, answers.rows).metrics["HR@1"] > 0.9
    has_titles = "titles" in knowledge.provenance["signal_weights"]
    assert has_titles == (experiment.teacher.kind == "fusion")
    assert knowledge.item_embeddings[1:].any(axis=1).all()


def test_its_distances_are_minus_logarithms_of_probabilities(knowledge: Knowledge) -> None:
    """Seven of twelve items are ranked, which are all unseen ones after five."""
    for answers in (knowledge.train, *knowledge.refits.values()):
        shares = (np.exp(-answers.distances) * (answers.rankings > 0)).sum(axis=1)
        seen = answers.rows % 7  # each user has seven rows
        assert shares[seen < 5].max() < 1.01
        assert shares[seen >= 5] == pytest.approx(1, abs=0.01)


def test_a_refit_learns_lists_of_all_rows_that_it_is_trained_on(
    experiment: Experiment, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    job = Job(experiment, chain_dataset, "distilled", 0, knowledge)
    for protocol in REFITS:
        refit = job.refitted(protocol, 1)
        lists = refit.trainer().objective.lists
        assert lists is not None
        taught = np.flatnonzero(lists.list_of_row.numpy())
        assert taught.tolist() == refit.dataset.example_rows(Split.TRAIN).tolist()
        summarised = Job(experiment, chain_dataset, "distilled", 0, knowledge.summary)
        assert summarised.refitted(protocol, 1).stamp == refit.stamp
        assert refit.stamp not in (job.stamp, job.refitted(protocol, 2).stamp)


def test_a_student_learns_its_distributions(
    experiment: Experiment, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    distillation = experiment.distillation.model_copy(update={"list_loss": "distribution"})
    taught = experiment.model_copy(update={"distillation": distillation})
    trainer = Job(taught, chain_dataset, "distilled", 0, knowledge).trainer()
    losses = []
    for epoch in range(2):
        (batch, *_) = trainer.windows.epoch(seed=0, epoch=epoch)
        losses.append(trainer.objective(batch).item())
        trainer.step(batch)

    assert losses[1] < losses[0]
    assert trainer.objective.k == 0


def test_it_cannot_be_asked_live(experiment: Experiment, workplace: Workplace) -> None:
    with pytest.raises(ConfigError, match="cannot be asked live; serve another kind"):
        load_live_teacher(experiment, workplace)


@pytest.mark.parametrize("kind", ["fusion", "fusion-without-titles"])
def test_a_fusion_teacher_cannot_be_tuned(prepared: Prepared, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"kind = '{kind}' learns from no history"):
        load_experiment(prepared(f'kind = "{kind}"\n        tuning = "lora"'))
