"""What a manifest says of the rankers that a student is compared with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.compared_rankers import compare
from training.data.dataset import Dataset, Split
from training.distillation.checkpoint import Checkpoint
from training.knowledge import Answers, Knowledge
from training.settings.experiment import DataConfig, Experiment
from training.settings.teacher import TeacherConfig, TeacherKind
from training.workplace import Workplace


@pytest.fixture
def knowledge(dataset: Dataset) -> Knowledge:
    """Knowledge of a teacher that has answered the test examples."""
    rows = dataset.example_rows(Split.TEST)

    def answers(rows: np.ndarray) -> Answers:
        nothing = np.zeros((len(rows), 20), dtype=np.int32)
        return Answers(rows, nothing, nothing.astype(np.float32), np.zeros(len(rows), np.float32))

    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=answers(rows[:0]),
        validation=answers(rows[:0]),
        test=answers(rows),
        item_embeddings=np.zeros((31, 5), dtype=np.float32),
        provenance={},
    )


@pytest.mark.parametrize(
    ("kind", "variant", "student_is_free", "teacher_is_free"),
    [
        ("titles", "distilled", False, False),
        ("titles", "plain", True, False),
        ("tf-idf", "distilled", True, True),
        ("word-vectors", "embeddings-only", True, True),
        ("fusion-without-titles", "distributions-only", True, True),
        ("fusion-without-titles", "distilled", False, True),
    ],
)
def test_only_what_an_llm_had_a_part_in_has_a_teacher_in_a_manifest_as_in_a_ladder(
    checkpoint: Checkpoint,
    dataset: Dataset,
    knowledge: Knowledge,
    tmp_path: Path,
    kind: TeacherKind,
    variant: str,
    *,
    student_is_free: bool,
    teacher_is_free: bool,
) -> None:
    """The title embeddings in the knowledge of a fusion without titles are an LLM's."""
    experiment = Experiment(
        name="films",
        data=DataConfig(source="movielens"),
        teacher=TeacherConfig(kind=kind),
    )
    description = checkpoint.description.model_copy(update={"variant": variant})
    trained = replace(checkpoint, description=description)

    comparison = compare(trained, dataset, knowledge, experiment, Workplace(tmp_path), None)

    assert comparison.student.teacher_free == student_is_free
    assert comparison.teacher is not None
    assert comparison.teacher[0].teacher_free == teacher_is_free
    assert comparison.is_taught == (variant != "plain")
