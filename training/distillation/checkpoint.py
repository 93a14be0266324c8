"""A trained student on disk: `save_checkpoint` beside `load_checkpoint`.

A checkpoint is a folder: `checkpoint.json` describes the student and has its validation metrics,
`student.pt` holds its weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile, ZipFile

import torch
from pydantic import ValidationError
from torch import Tensor

from training.errors import CheckpointError
from training.evaluation.yardstick import SELECTION_METRIC
from training.settings.section import Section
from training.settings.student import StudentConfig
from training.stage import readable_folder, write_stage
from training.students.registry import build_student
from training.students.student import Student

DESCRIPTION_NAME = "checkpoint.json"
WEIGHTS_NAME = "student.pt"


class Description(Section):
    """Content of `checkpoint.json`.

    Attributes:
        variant: a name in `VARIANTS`, the parts of the method that it was trained with.
        embedding_weight: see `ItemTable`; unused without LLM embeddings.
        best_epoch: the epoch whose weights these are, from 1.
        cold_bonus: mean that is added to scores of cold items; None if they were not placed.
        validation: metrics on the validation examples.
        seconds: training time, validation included.
    """

    student: StudentConfig
    variant: str
    seed: int
    dataset_fingerprint: str
    embedding_weight: float
    best_epoch: int
    cold_bonus: float | None = None
    validation: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """A trained student: description and weights."""

    description: Description
    state: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """Folder name."""
        return checkpoint_name(self.description.variant, self.description.seed)

    def student(self) -> Student:
        """Builds the student with these weights, in `eval()`."""
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


def checkpoint_name(variant: str, seed: int) -> str:
    """Folder name of a variant's student."""
    return f"{variant}-{seed}"


def save_checkpoint(checkpoint: Checkpoint, folder: Path, stamp: str) -> None:
    """Writes a checkpoint as `folder`, with `stamp`, the fingerprint of its inputs."""
    with write_stage(folder, stamp) as building:
        torch.save(dict(checkpoint.state), building / WEIGHTS_NAME)
        text = checkpoint.description.model_dump_json(indent=2)
        (building / DESCRIPTION_NAME).write_text(f"{text}\n", encoding="utf-8")


def load_checkpoint(folder: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    folder = readable_folder(folder)
    try:
        text = (folder / DESCRIPTION_NAME).read_text(encoding="utf-8")
        return Checkpoint(Description.model_validate_json(text), _read(folder / WEIGHTS_NAME))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{error.filename}: missing; run `python -m training.distill` first"
        ) from None
    except (ValidationError, BadZipFile, RuntimeError, UnpicklingError) as error:
        raise CheckpointError(f"{folder}: damaged ({error}); delete it and train again") from None


def best_on_validation(checkpoints: Sequence[Checkpoint], variant: str) -> Checkpoint:
    """The checkpoint of `variant` with the best validation figure: the one to export.

    Raises:
        CheckpointError: no checkpoint is of that variant.
    """
    of_variant = [each for each in checkpoints if each.description.variant == variant]
    if not of_variant:
        raise CheckpointError(f"no {variant} checkpoint; run `python -m training.distill` first")
    return max(of_variant, key=lambda each: each.description.validation[SELECTION_METRIC])


def _read(path: Path) -> dict[str, Tensor]:
    with ZipFile(path) as weights:  # torch would read any other file as one of its old formats
        if damaged := weights.testzip():
            raise BadZipFile(f"{path.name} holds a damaged {damaged}")
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return state
