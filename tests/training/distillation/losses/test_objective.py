"""The loss of a whole batch, against torch's own cross-entropy."""

import pytest
import torch

from training.data.dataset import Dataset
from training.distillation.job import Job
from training.knowledge import Knowledge
from training.settings.experiment import Experiment


@pytest.mark.parametrize("trained_candidates", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_the_loss_is_cross_entropy_over_the_candidates_with_smoothed_labels(
    experiment: Experiment, tiny_dataset: Dataset, smoothing: float, trained_candidates: bool
) -> None:
    update = {"smoothing": smoothing, "trained_candidates": trained_candidates}
    training = experiment.training.model_copy(update=update)
    plain = experiment.model_copy(update={"training": training})
    trainer = Job(plain, tiny_dataset, "plain", 0, None).trainer()
    student = trainer.student.eval()
    torch.nn.init.normal_(student.item_table.offsets)
    (batch,) = trainer.windows.epoch(seed=0, epoch=0)

    loss = trainer.objective(batch)

    table = student.item_table()
    queries = student.encode(batch.histories, table)[batch.is_predicted]
    candidates = table[1:4] if trained_candidates else table[1:]  # d and e are cold
    next_items = batch.next_items[batch.is_predicted] - 1
    expected = torch.nn.functional.cross_entropy(
        queries @ candidates.T, next_items, label_smoothing=smoothing
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec"])
def test_packing_windows_changes_neither_the_loss_nor_a_gradient(
    experiment: Experiment, tiny_dataset: Dataset, kind: str
) -> None:
    def loss_and_gradients(*, packed_windows: bool) -> list[torch.Tensor]:
        training = experiment.training.model_copy(update={"packed_windows": packed_windows})
        student = experiment.student.model_copy(update={"kind": kind, "dropout": 0.0})
        job = experiment.model_copy(update={"training": training, "student": student})
        trainer = Job(job, tiny_dataset, "plain", 0, None).trainer()
        (batch,) = trainer.windows.epoch(seed=0, epoch=0)
        loss = trainer.objective(batch)
        return [loss, *torch.autograd.grad(loss, list(trainer.student.parameters()))]

    packed = loss_and_gradients(packed_windows=True)

    torch.testing.assert_close(packed, loss_and_gradients(packed_windows=False))


@pytest.mark.parametrize("kind", ["sasrec", "caser"])
@pytest.mark.parametrize("variant", ["plain", "distilled"])
def test_if_every_candidate_is_in_the_batch_a_thinned_softmax_is_the_full_one(
    experiment: Experiment, chain_dataset: Dataset, knowledge: Knowledge, kind: str, variant: str
) -> None:
    def loss_and_gradients(scored_share: float) -> list[torch.Tensor]:
        update = {"scored_share": scored_share, "trained_candidates": True, "batch_size": 999}
        training = experiment.training.model_copy(update=update)
        student = experiment.student.model_copy(update={"kind": kind, "dropout": 0.0})
        distillation = experiment.distillation.model_copy(
            update={"consistency": True, "offset_dropout": 0.0}
        )
        settings = {"training": training, "student": student, "distillation": distillation}
        taught = knowledge if variant == "distilled" else None
        job = Job(experiment.model_copy(update=settings), chain_dataset, variant, 0, taught)
        trainer = job.trainer()
        (batch,) = trainer.windows.epoch(seed=0, epoch=0)
        loss = trainer.objective(batch)
        learned = [each for each in trainer.student.parameters() if each.requires_grad]
        return [loss, *torch.autograd.grad(loss, learned, materialize_grads=True)]

    torch.testing.assert_close(loss_and_gradients(0.5), loss_and_gradients(1.0))
