"""A trained student on disk: `save_checkpoint` beside `load_checkpoint`.

A checkpoint is a folder: `checkpoint.json` says what the student is and how it did on validation,
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
    """What a checkpoint is.

    Attributes:
        variant: the parts of the method it was trained with, by name.
        embedding_weight: share of the LLM embeddings in the item table; unused without them.
        best_epoch: the epoch that is kept, from 1.
        cold_bonus: what their place adds to the scores of untouched items, on average; None where
            they were left as they are.
        validation: metrics of the student on the validation examples.
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
    """A trained student and what it is."""

    description: Description
    state: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return checkpoint_name(self.description.variant, self.description.seed)

    def student(self) -> Student:
        """The student itself, in `eval()`."""
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
    """The folder name of a variant's student."""
    return f"{variant}-{seed}"


def save_checkpoint(checkpoint: Checkpoint, folder: Path, stamp: str) -> None:
    """Writes a checkpoint as `folder`, stamped with what it was made from."""
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
        CheckpointError: there is none of that variant.
    """
    of_variant = [each for each in checkpoints if each.description.variant == variant]
    if not of_variant:
        raise CheckpointError(f"no {variant} checkpoint; run `python -m training.distill` first")
    return max(of_variant, key=lambda each: each.description.validation[SELECTION_METRIC])


def _read(path: Path) -> dict[str, Tensor]:
    with ZipFile(path) as weights:  # torch takes any other file for one of its old formats
        if damaged := weights.testzip():
            raise BadZipFile(f"{path.name} holds a damaged {damaged}")
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return state
