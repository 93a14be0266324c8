import math
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.training.slow_log import LONGEST_SILENCE_SECONDS, slow_log
from training.data.dataset import Dataset, Split
from training.distillation.batches import Batch
from training.distillation.distributed import SingleProcess
from training.distillation.job import Job
from training.distillation.losses.next_item import other_items
from training.distillation.losses.objective import NUM_PANELS
from training.distillation.trainer import Trainer, TrainingState
from training.errors import ConfigError
from training.evaluation.yardstick import SELECTION_METRIC, evaluate, ranker_of
from training.knowledge import Knowledge
from training.settings.experiment import Experiment
from training.students.scorer import StudentScorer


def log_sigmoid(value: float) -> float:
    return -math.log(1 + math.exp(-value))


def trainer(experiment: Experiment, dataset: Dataset, knowledge: Knowledge | None) -> Trainer:
    variant = "plain" if knowledge is None else "distilled"
    return Job(experiment, dataset, variant, 0, knowledge).trainer()


def test_a_teacher_free_student_learns_an_obvious_pattern(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path
) -> None:
    untaught = trainer(experiment, chain_dataset, None)

    untaught.train(tmp_path / "state", "plain")

    ranker = ranker_of(StudentScorer(untaught.student, chain_dataset), chain_dataset)
    evaluation = evaluate(ranker, chain_dataset, chain_dataset.example_rows(Split.TEST))
    assert evaluation.metrics["HR@1"] == 1


def test_epochs_are_chosen_on_validation_and_not_on_test(
    experiment: Experiment, contrary_dataset: Dataset, tmp_path: Path
) -> None:
    """The pattern of training holds in validation and is wrong in all of test."""
    untaught = trainer(experiment, contrary_dataset, None)

    assert untaught.train(tmp_path / "state", "plain").best_metrics["HR@1"] == 1

    ranker = ranker_of(StudentScorer(untaught.student, contrary_dataset), contrary_dataset)
    rows = contrary_dataset.example_rows(Split.TEST)
    assert evaluate(ranker, contrary_dataset, rows).metrics["HR@1"] == 0


def test_a_distilled_student_learns_from_the_teachers_list(
    experiment: Experiment, chain_dataset: Dataset, knowledge: Knowledge, tmp_path: Path
) -> None:
    def first_item_share(knowledge: Knowledge | None) -> float:
        """Probability of the teacher's (wrong) first item / mean of the other wrong items."""
        student = trainer(experiment, chain_dataset, knowledge)
        student.train(tmp_path / f"{knowledge is None}", "")
        probabilities = torch.softmax(student.student.score(torch.tensor([[1, 2, 3]])), dim=1)[0]
        return (probabilities[5] / probabilities[6:].mean()).item()

    assert first_item_share(knowledge) > 3 * first_item_share(None)


def test_the_loss_of_a_batch_is_the_mix_of_both_losses_written_as_a_loop(
    experiment: Experiment, chain_dataset: Dataset, knowledge: Knowledge
) -> None:
    distilled = trainer(experiment, chain_dataset, knowledge)
    distilled.student.eval()
    batch = distilled.windows.epoch(0, 0)[0]
    table = distilled.student.item_table()
    queries = distilled.student.encode(batch.histories, table)

    losses = []
    for line, place in (batch.next_items != 0).nonzero().tolist():
        log_probabilities = torch.log_softmax(queries[line, place] @ table[1:].T, dim=0)
        next_item = int(batch.next_items[line, place])
        wrong = next_item % 12 + 1
        weights = torch.softmax(torch.tensor([-1.0, -2.0]), dim=0)  # exp(-rank), normalised
        listed = (
            weights[0] * log_probabilities[wrong - 1]
            + weights[1] * log_probabilities[next_item - 1]
        )
        losses.append(-0.5 * log_probabilities[next_item - 1] - 0.5 * listed)

    torch.testing.assert_close(distilled.loss(batch), torch.stack(losses).mean())


@pytest.mark.parametrize("loss", ["cross-entropy", "binary"])
def test_the_whole_method_is_the_papers_total_written_as_a_loop(
    experiment: Experiment, chain_dataset: Dataset, knowledge: Knowledge, loss: str
) -> None:
    """Eq. 3 and 5-11: lists weighed by position, confidence and consistency."""
    method = {"confidence": True, "consistency": True, "confidence_temperature": 0.5}
    everything = experiment.model_copy(
        update={
            "training": experiment.training.model_copy(update={"loss": loss}),
            "distillation": experiment.distillation.model_copy(update=method),
        }
    )
    distilled = trainer(everything, chain_dataset, knowledge)
    distilled.student.eval()
    batch = distilled.windows.epoch(0, 0)[0]
    table = distilled.student.item_table()
    positions: list[tuple[Tensor, int, int]] = []  # query, next item, row
    for panel in batch.by_length(NUM_PANELS):
        predicted = panel.is_predicted
        queries = distilled.student.encode(panel.histories, table)[predicted]
        items, rows = panel.next_items[predicted].tolist(), panel.next_rows[predicted].tolist()
        positions += zip(queries, items, rows, strict=True)

    torch.manual_seed(3)
    negatives = other_items(torch.tensor([next_item for _, next_item, _ in positions]), 13)
    losses = []
    for (query, next_item, row), negative in zip(positions, negatives.tolist(), strict=True):
        scores = (table @ query).tolist()
        own_top = sorted(range(1, 13), key=lambda item: -scores[item])[:2]
        normaliser = math.log(sum(math.exp(score) for score in scores[1:]))
        by_rank = [math.exp(-1), math.exp(-2)]
        confidence = math.exp(-(0.1 + 0.1 * (row % 5)) / 0.5)  # distance of this row's next item
        listed = 0.0
        for rank, item in enumerate([next_item % 12 + 1, next_item]):
            position = by_rank[rank] / sum(by_rank)
            weight = (0.3 * position + 0.5 * confidence / 2 + 0.1 * (item in own_top) / 2) / 0.9
            of_item = log_sigmoid(scores[item]) if loss == "binary" else scores[item] - normaliser
            listed -= weight * of_item
        if loss == "binary":
            own = -log_sigmoid(scores[next_item]) - log_sigmoid(-scores[negative])
        else:
            own = normaliser - scores[next_item]
        losses.append(0.5 * own + 0.5 * listed)

    torch.manual_seed(3)
    assert distilled.loss(batch).item() == pytest.approx(fmean(losses), rel=1e-5)


@pytest.mark.parametrize("loss", ["sampled-cross-entropy", "binary"])
@pytest.mark.parametrize("robust_weight", [0.0, 0.1])
def test_every_loss_learns_an_obvious_pattern(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path, loss: str, robust_weight: float
) -> None:
    update = {"loss": loss, "robust_weight": robust_weight, "num_negatives": 6, "max_epochs": 12}
    training = experiment.training.model_copy(update=update)
    untaught = trainer(experiment.model_copy(update={"training": training}), chain_dataset, None)

    assert untaught.train(tmp_path / "state", loss).best_metrics["HR@1"] > 0.9


def test_a_log_of_a_slow_training_is_never_silent_for_longer_than_five_seconds(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = slow_log(monkeypatch)
    monkeypatch.setattr("training.evaluation.yardstick.BATCH_SIZE", 5)
    num_validation_batches = len(chain_dataset.example_rows(Split.VALIDATION)) / 5
    assert num_validation_batches > LONGEST_SILENCE_SECONDS  # each takes a second
    step, score = Trainer.step, StudentScorer.__call__

    def slow_step(self: Trainer, batch: Batch) -> None:
        step(self, batch)
        log.tick(1)

    def slow_score(self: StudentScorer, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        log.tick(1)
        return score(self, rows)

    monkeypatch.setattr(Trainer, "step", slow_step)
    monkeypatch.setattr(StudentScorer, "__call__", slow_score)
    update = {"batch_size": 4, "max_epochs": 2}
    training = experiment.training.model_copy(update=update)
    slow = trainer(experiment.model_copy(update={"training": training}), chain_dataset, None)

    slow.train(tmp_path / "state", "SASRec")

    assert log.seconds > 2 * LONGEST_SILENCE_SECONDS
    assert log.longest_silence() <= LONGEST_SILENCE_SECONDS
    assert f"{SELECTION_METRIC}=" in log.lines_about("SASRec")[-1]


def test_matmul_precision_applies_to_training_steps_and_not_to_validation(
    experiment: Experiment, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quick = experiment.training.model_copy(update={"matmul_precision": "medium", "max_epochs": 1})
    trainer = Job(
        experiment.model_copy(update={"training": quick}), chain_dataset, "plain", 0, None
    ).trainer()
    seen: dict[str, set[str]] = {"loss": set(), "validate": set()}

    def watched(name: str) -> None:
        real = getattr(trainer, name)

        def watch(*arguments: object) -> object:
            seen[name].add(torch.get_float32_matmul_precision())
            return real(*arguments)

        monkeypatch.setattr(trainer, name, watch)

    watched("loss")
    watched("validate")
    trainer.train(tmp_path / "state", "watched")
    assert seen == {"loss": {"medium"}, "validate": {"highest"}}


def test_seeds_make_different_students(experiment: Experiment, chain_dataset: Dataset) -> None:
    offsets = [
        Job(experiment, chain_dataset, "plain", seed, None).trainer().student.item_table.offsets
        for seed in (0, 1)
    ]

    assert not torch.equal(*offsets)


def progress_after(*figures: float) -> TrainingState:
    progress = TrainingState()
    for epoch, figure in enumerate(figures, start=1):
        layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(layer.weight, epoch)
        progress.record(layer, {SELECTION_METRIC: figure}, seconds=1.0)
    return progress


def test_the_first_best_epoch_is_kept_with_its_weights() -> None:
    progress = progress_after(0.1, 0.3, 0.3, 0.2)

    assert progress.best_epoch == 2
    assert progress.best_state["weight"].item() == 2
    assert progress.seconds == 4


def test_epochs_without_any_hit_choose_nothing_and_end_nothing(experiment: Experiment) -> None:
    training = experiment.training.model_copy(update={"max_epochs": 4, "patience": 2})

    assert progress_after(0, 0, 0).best_epoch == 3
    assert not progress_after(0, 0, 0).is_over(training)
    assert progress_after(0, 0, 0, 0).is_over(training)
    assert progress_after(0, 0.1, 0).best_epoch == 2
    assert progress_after(0, 0.1, 0, 0).is_over(training)


@pytest.mark.parametrize("num_epochs", [None, 2])
def test_a_student_whose_weights_overflow_is_refused_with_the_setting_to_change(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path, num_epochs: int | None
) -> None:
    training = experiment.training.model_copy(update={"learning_rate": 1e30})
    job = Job(experiment.model_copy(update={"training": training}), chain_dataset, "plain", 0, None)
    runs_away = (job.refitted("refit", num_epochs) if num_epochs else job).trainer()

    with pytest.raises(ConfigError, match=r"training\.learning_rate = 1e\+30: .* after epoch 1"):
        runs_away.train(tmp_path / "state", "")


def test_an_epoch_without_a_batch_ends(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path
) -> None:
    """All interactions of a small dataset may be left out of an epoch."""
    training = experiment.training.model_copy(update={"item_dropout": 0.9999})
    job = Job(experiment.model_copy(update={"training": training}), chain_dataset, "plain", 0, None)
    refit = job.refitted("refit", 2).trainer()

    assert refit.train(tmp_path / "state", "").epoch == 2


class SecondOfTwo(SingleProcess):
    """The second of two processes, of which the first ranks the only example first."""

    rank, num_ranks = 1, 2

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ranks of the first process before those of this one."""
        return np.concatenate([[1], values])


def test_a_process_without_a_validation_example_has_the_metrics_of_the_others(
    experiment: Experiment, chain_dataset: Dataset
) -> None:
    training = experiment.training.model_copy(update={"validation_examples": 1})
    job = Job(experiment.model_copy(update={"training": training}), chain_dataset, "plain", 0, None)

    assert job.trainer(SecondOfTwo(torch.device("cpu"))).validate()["HR@1"] == 1


def test_training_ends_after_max_epochs_or_patience(experiment: Experiment) -> None:
    training = experiment.training.model_copy(update={"max_epochs": 4, "patience": 2})

    assert not progress_after(0.3, 0.2).is_over(training)
    assert progress_after(0.3, 0.2, 0.2).is_over(training)
    assert progress_after(0.1, 0.2, 0.3, 0.4).is_over(training)


def test_a_batch_without_predictions_has_loss_and_gradients_of_zero(
    experiment: Experiment, chain_dataset: Dataset
) -> None:
    untaught = trainer(experiment, chain_dataset, None)
    histories = torch.tensor([[1, 2]])
    nothing = Batch(histories, torch.zeros_like(histories), torch.full_like(histories, -1))

    loss = untaught.loss(nothing)
    torch.autograd.backward(loss)

    assert loss.item() == 0
    assert not any(
        each.grad.any() for each in untaught.student.parameters() if each.grad is not None
    )
