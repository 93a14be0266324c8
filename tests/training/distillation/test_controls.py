import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset
from training.distillation.controls import LISTS, shuffled_embeddings
from training.distillation.job import Job
from training.distillation.variants import VARIANTS
from training.evaluation import yardstick
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.knowledge import Answers, Knowledge
from training.settings.experiment import Experiment


def test_shuffled_lists_are_the_teachers_lists_of_other_examples(
    knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    real = LISTS["teacher"](knowledge, chain_dataset, 0)
    shuffled = LISTS["shuffled"](knowledge, chain_dataset, 0)

    assert np.array_equal(shuffled.rows, real.rows)
    assert sorted(shuffled.rankings.tolist()) == sorted(real.rankings.tolist())
    same = (shuffled.rankings == real.rankings).all(axis=1).mean()
    assert same < 0.3


def test_title_neighbours_are_the_unseen_items_nearest_to_the_last_item(
    knowledge: Knowledge, tiny_dataset: Dataset
) -> None:
    # Titles form a regular pentagon. From b, c is at 72 degrees, d and e at 144, a at 72 and seen.
    degrees = np.radians([0, 288, 0, 72, 144, 216])
    answers = Answers(
        rows=np.array([1, 2]),
        rankings=np.ones((2, 2), dtype=np.int32),
        distances=np.ones((2, 2), dtype=np.float32),
        next_item_distances=np.ones(2, dtype=np.float32),
    )
    embeddings = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    of_tiny = replace(knowledge, train=answers, item_embeddings=embeddings)

    lists = LISTS["title-neighbours"](of_tiny, tiny_dataset, 0)

    near, far = (2 * math.sin(math.radians(angle / 2)) for angle in (72, 144))
    assert lists.rankings[1, 0] == 3  # row 2: ann after a and b
    assert lists.rankings[1, 1] in (4, 5)
    assert lists.distances[1].tolist() == pytest.approx([near, far])
    assert lists.next_item_distances.tolist() == pytest.approx([near, near])


def test_title_neighbours_make_lists_as_long_as_the_teachers(
    knowledge: Knowledge, tiny_dataset: Dataset
) -> None:
    """Thirty items, more than the twenty that reports show."""
    catalog = tiny_dataset.catalog
    more = tuple(f"more {number}" for number in range(30))
    taller = replace(
        tiny_dataset,
        catalog=replace(
            catalog, item_ids=(*catalog.item_ids, *more), titles=(*catalog.titles, *more)
        ),
    )
    answers = Answers(
        rows=np.array([1, 2]),
        rankings=np.ones((2, 30), dtype=np.int32),
        distances=np.ones((2, 30), dtype=np.float32),
        next_item_distances=np.ones(2, dtype=np.float32),
    )
    embeddings = np.random.default_rng(0).standard_normal((36, 3)).astype(np.float32)

    lists = LISTS["title-neighbours"](
        replace(knowledge, train=answers, item_embeddings=embeddings), taller, 0
    )

    assert [len(set(each) - {0}) for each in lists.rankings.tolist()] == [30, 30]


def test_title_neighbours_score_few_examples_at_once_when_the_catalog_is_large(
    knowledge: Knowledge, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """13 catalog rows: two examples have 26 scores, three have 39."""
    sizes = []
    score = TitleNeighbours.__call__

    def noted(self: TitleNeighbours, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        sizes.append(len(rows))
        return score(self, rows)

    whole = LISTS["title-neighbours"](knowledge, chain_dataset, 0)
    monkeypatch.setattr(TitleNeighbours, "__call__", noted)
    monkeypatch.setattr(yardstick, "MAX_SCORES", 38)
    parts = LISTS["title-neighbours"](knowledge, chain_dataset, 0)

    assert max(sizes) == 2
    assert sum(sizes) == len(knowledge.train.rows)
    assert np.array_equal(parts.rankings, whole.rankings)
    np.testing.assert_allclose(parts.distances, whole.distances, atol=1e-6)


def test_shuffled_embeddings_are_those_of_other_items(knowledge: Knowledge) -> None:
    real = knowledge.item_embeddings
    shuffled = shuffled_embeddings(knowledge, seed=0)

    assert shuffled[0].tolist() == real[0].tolist()
    assert sorted(shuffled[1:].tolist()) == sorted(real[1:].tolist())
    assert (shuffled[1:] != real[1:]).any(axis=1).mean() > 0.5
    assert (shuffled_embeddings(knowledge, seed=1) != shuffled).any()


def test_a_student_of_shuffled_embeddings_has_the_embeddings_of_other_items(
    experiment: Experiment, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    def embeddings_of(variant: str) -> Tensor:
        table = Job(experiment, chain_dataset, variant, 0, knowledge).trainer().student.item_table
        assert table.embeddings is not None
        return table.embeddings

    real, shuffled = embeddings_of("distilled"), embeddings_of("control-shuffled-embeddings")
    order = np.random.default_rng(0).permutation(len(real))
    assert torch.allclose(shuffled, real[order], atol=1e-5)


def test_each_control_has_a_stamp_of_its_own(
    experiment: Experiment, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    names = [name for name in VARIANTS if name.startswith("control")]
    stamps = [
        Job(experiment, chain_dataset, name, 0, knowledge).stamp for name in ["distilled", *names]
    ]

    assert len(names) == 3
    assert len(set(stamps)) == 4
