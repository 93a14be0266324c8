"""Fixtures: experiment, knowledge and students that train within a second."""

import numpy as np
import pytest
import torch

from training.data.dataset import Dataset, Split
from training.knowledge import Answers, Knowledge
from training.settings.experiment import DataConfig, DistillationConfig, Experiment, TrainingConfig
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.student import Student

# d and e of tiny_dataset, ann's validation item and bob's test item, as if untouched.
UNTOUCHED = torch.tensor([False, False, False, True, True])
COLD = torch.arange(12) > 9  # the last two items of chain_dataset, as if untouched


@pytest.fixture
def experiment() -> Experiment:
    """A small student that learns quickly; its blocks are those of the oldest stored runs."""
    return Experiment(
        name="chain",
        data=DataConfig(source="movielens"),
        student=StudentConfig(
            max_history_length=4, hidden_size=16, num_layers=1, dropout=0.1, block="pre-norm"
        ),
        training=TrainingConfig(
            batch_size=8,
            learning_rate=1e-2,
            max_epochs=8,
            patience=8,
            averaged_epochs=0.0,
            pair_bonus=False,
        ),
        distillation=DistillationConfig(
            ranking_weight=0.5,
            list_length=2,
            embedding_columns=2,
            position_temperature=1.0,
            confidence=False,
            consistency=False,
        ),
    )


@pytest.fixture
def knowledge(chain_dataset: Dataset) -> Knowledge:
    """Answers that rank the true next item second, after the item that follows it in the ring.

    The distance of the true next item is 0.1 to 0.5, depending on the row.
    """

    def answers(split: Split) -> Answers:
        rows = chain_dataset.example_rows(split)
        next_items = chain_dataset.item_indices[rows]
        wrong = next_items % chain_dataset.catalog.num_items + 1
        distances = (0.1 + 0.1 * (rows % 5)).astype(np.float32)
        return Answers(
            rows=rows,
            rankings=np.stack([wrong, next_items], axis=1).astype(np.int32),
            distances=np.stack([distances / 2, distances], axis=1),
            next_item_distances=distances,
        )

    angles = np.arange(chain_dataset.catalog.num_rows)[:, None] * np.array([[0.5, 1.0, 2.0]])
    return Knowledge(
        dataset_fingerprint=chain_dataset.fingerprint,
        train=answers(Split.TRAIN),
        validation=answers(Split.VALIDATION),
        test=answers(Split.TEST),
        item_embeddings=np.cos(angles).astype(np.float32),
        provenance={},
    )


@pytest.fixture
def student() -> Student:
    """An untrained student of the tiny dataset, with embeddings."""
    torch.manual_seed(0)
    config = StudentConfig(hidden_size=8, num_layers=1, max_history_length=4)
    return build_student(config, 6, torch.randn(6, 5)).eval()


@pytest.fixture
def walker() -> Student:
    """An untrained student of the chain dataset, with embeddings.

    Its query vectors have much in common, as those of a trained student have.
    """
    torch.manual_seed(0)
    config = StudentConfig(hidden_size=8, block="pre-norm")
    return build_student(config, 13, torch.randn(13, 5)).eval()
