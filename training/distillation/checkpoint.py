"""Checkpoints: trained students on disk.

A checkpoint is a folder. `checkpoint.json` describes the student and holds its validation metrics,
`student.safetensors` holds its weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError, field_validator
from torch import Tensor

from training.compute.tensor_file import read_tensors, write_tensors
from training.data.dataset import Dataset, Protocol
from training.distillation.batches import num_steps
from training.distillation.variants import TEACHER_FREE
from training.errors import DISTILL, CheckpointError, TensorFileError
from training.evaluation.undertraining import signs_of_undertraining, signs_without_hits
from training.evaluation.yardstick import SELECTION_METRIC
from training.settings.experiment import Experiment
from training.settings.section import Section
from training.settings.student import StudentConfig
from training.stage import is_current, readable_folder, write_stage
from training.students.registry import build_student
from training.students.student import Student

DESCRIPTION_NAME = "checkpoint.json"
WEIGHTS_NAME = "student.safetensors"


class Description(Section):
    """Content of `checkpoint.json`: how a student was trained, and its validation metrics.

    Attributes:
        student: kind and sizes of the student.
        variant: name of the method variant, a key of `VARIANTS`.
        seed: random seed of the training.
        dataset_fingerprint: hash of the content of the dataset that the student was trained on.
        embedding_weight: factor of the projected LLM embedding in an item vector; unused without
            embeddings.
        best_epoch: number of the epoch that the weights are from; the first is 1.
        cold_bonus: mean amount that the fit of cold items adds to their scores; None if cold items
            were not placed.
        pairs: settings of the pair bonus, by name; empty without one.
        validation: metrics on the validation examples, by name; empty for a refit.
        seconds: training time, validation included.
        protocol: the rows that the student was trained on: "train", "refit" or "refit-all".
    """

    student: StudentConfig
    variant: str
    seed: int
    dataset_fingerprint: str
    embedding_weight: float
    best_epoch: int
    cold_bonus: float | None = None
    pairs: Mapping[str, float] = {}
    validation: Mapping[str, float]
    seconds: float
    protocol: Protocol = "train"

    @field_validator("student", mode="before")
    @classmethod
    def _missing_settings_have_former_values(cls, given: object) -> object:
        return {**StudentConfig.FORMER_VALUES, **given} if isinstance(given, Mapping) else given


@dataclass(frozen=True)
class Checkpoint:
    """A trained student as stored in a folder: a description and the weights.

    Attributes:
        description: content of `checkpoint.json`.
        state: the student's state dict, on the CPU.
    """

    description: Description
    state: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """Name of the checkpoint's folder: `VARIANT-SEED`; for a refit `VARIANT-SEED-PROTOCOL`."""
        description = self.description
        return checkpoint_name(description.variant, description.seed, description.protocol)

    def student(self) -> Student:
        """Builds the student with the weights of the checkpoint, in evaluation mode."""
        columns = self.state.get("item_table.embedding_columns")
        num_rows = len(self.state["item_table.offsets"]) + 1
        student = build_student(
            self.description.student,
            num_rows,
            None if columns is None else torch.zeros(num_rows, len(columns)),
            self.description.embedding_weight,
            max_columns=0 if columns is None else columns.shape[1],
        )
        student.load_state_dict(self.state)
        return student.eval()


def checkpoint_name(variant: str, seed: int, protocol: Protocol = "train") -> str:
    """Returns the name of the folder of a student's checkpoint.

    It is `VARIANT-SEED`, or `VARIANT-SEED-PROTOCOL` for a refit.
    """
    return f"{variant}-{seed}" if protocol == "train" else f"{variant}-{seed}-{protocol}"


def save_checkpoint(checkpoint: Checkpoint, folder: Path, stamp: str) -> None:
    """Writes a checkpoint to disk as the folder `folder`.

    Args:
        checkpoint: the trained student.
        folder: the folder to create or replace.
        stamp: hash of everything that decides the student. It is stored, so that `is_trained` can
            tell whether the folder is up to date.
    """
    with write_stage(folder, stamp) as building:
        write_tensors(building / WEIGHTS_NAME, checkpoint.state)
        text = checkpoint.description.model_dump_json(indent=2)
        (building / DESCRIPTION_NAME).write_text(f"{text}\n", encoding="utf-8")


def is_trained(folder: Path, stamp: str) -> bool:
    """Returns whether `folder` holds a complete checkpoint with the stamp `stamp`.

    Checkpoints of earlier versions, which pickled the weights, count as incomplete. Their students
    are trained again.
    """
    return is_current(folder, stamp) and (readable_folder(folder) / WEIGHTS_NAME).exists()


def load_checkpoint(folder: Path) -> Checkpoint:
    """Reads the checkpoint in `folder`.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    folder = readable_folder(folder)
    try:
        text = (folder / DESCRIPTION_NAME).read_text(encoding="utf-8")
        return Checkpoint(
            Description.model_validate_json(text), read_tensors(folder / WEIGHTS_NAME)
        )
    except FileNotFoundError as error:
        missing = error.filename or folder / WEIGHTS_NAME  # safetensors names no file
        raise CheckpointError(f"{missing}: missing; run {DISTILL} first") from None
    except (ValidationError, TensorFileError) as error:
        raise CheckpointError(f"{folder}: damaged ({error}); delete it and train again") from None


def best_on_validation(checkpoints: Sequence[Checkpoint], variant: str) -> Checkpoint:
    """Returns the checkpoint of `variant` with the highest validation NDCG@20.

    Its student, or the refit of that student, is exported.

    Raises:
        CheckpointError: `checkpoints` has no checkpoint of that variant.
    """
    of_variant = [each for each in checkpoints if each.description.variant == variant]
    if not of_variant:
        raise CheckpointError(f"no {variant} checkpoint; run {DISTILL} first")
    return max(of_variant, key=_on_validation)


def describe_choice(
    best: Checkpoint, checkpoints: Sequence[Checkpoint], *, refit: bool = False
) -> str:
    """Describes the best student of a variant, and a better student without a teacher, if any.

    Args:
        best: the best checkpoint of its variant.
        checkpoints: checkpoints of the same experiment, which `best` is compared with.
        refit: whether the refit of `best` is exported.

    Returns:
        One line of text, or two if a checkpoint of the variant `TEACHER_FREE` has a higher
        validation NDCG@20 than `best`.
    """
    line = (
        f"{best.name}, the best of the {best.description.variant} students on validation: "
        f"{SELECTION_METRIC} {_on_validation(best):.4f}"
    )
    teacher_free = [each for each in checkpoints if each.description.variant == TEACHER_FREE]
    better = max(teacher_free, key=_on_validation, default=best)
    if _on_validation(better) <= _on_validation(best):
        return line
    options = f"--refit --variant {TEACHER_FREE}" if refit else f"--variant {TEACHER_FREE}"
    first = f"`distill CONFIG {options}`, then " if refit else ""
    return (
        f"{line}\n{better.name}, which learned without a teacher, is better on validation: "
        f"{SELECTION_METRIC} {_on_validation(better):.4f}; "
        f"to export it: {first}`export CONFIG {options}`"
    )


def signs_in(
    checkpoints: Sequence[Checkpoint], experiment: Experiment, dataset: Dataset
) -> Sequence[str]:
    """Returns the signs that the students need more training, one line each.

    Args:
        checkpoints: students of the experiment that validation chose an epoch of.
        experiment: settings that the students were trained with.
        dataset: dataset that they were trained on.
    """
    config = experiment.training
    steps = num_steps(dataset, experiment.student.max_history_length, config.batch_size)
    by_name = sorted(checkpoints, key=lambda each: each.name)
    best_epochs = {
        each.name: each.description.best_epoch for each in by_name if _on_validation(each)
    }
    without_hit = [each.name for each in by_name if not _on_validation(each)]
    return [*signs_without_hits(without_hit), *signs_of_undertraining(best_epochs, steps, config)]


def _on_validation(checkpoint: Checkpoint) -> float:
    return checkpoint.description.validation[SELECTION_METRIC]
