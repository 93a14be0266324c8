"""The retrieval teacher: it reads a history once, and a matcher finds the titles that fit."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import LIST_LENGTH
from training.teacher.answering import answer, matched
from training.teacher.config import TeacherConfig
from training.teacher.fitting import fit_matcher
from training.teacher.knowledge import Answers, Knowledge
from training.teacher.matching import Matcher, load_matcher, save_matcher
from training.teacher.reading import Reading, read_everything
from training.teacher.shards import Cost
from training.teacher.tuned import TunedModel


def teach_retrieval(
    dataset: Dataset, config: TeacherConfig, folder: Path, tuned: TunedModel, building: Path
) -> Knowledge:
    """Reads, fits and matches; states are kept in `folder`, the matcher in `building`."""
    reading = read_everything(dataset, config, folder, tuned.model, tuned.weights)
    began = time.monotonic()
    matcher = _initial(reading, config, tuned)
    fit = fit_matcher(dataset, reading.states, reading.title_embeddings, config, matcher)
    fitting_seconds = time.monotonic() - began
    distances = matched(_as_saved(fit.matcher, reading, building), reading.states)

    def answers(split: Split, list_length: int) -> Answers:
        rows = reading.states.read_of(dataset, split).rows
        return answer(distances, dataset, rows, list_length)

    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=answers(Split.TRAIN, config.list_length),
        validation=answers(Split.VALIDATION, LIST_LENGTH),
        test=answers(Split.TEST, LIST_LENGTH),
        item_embeddings=np.ascontiguousarray(reading.title_embeddings),
        provenance={
            "costs": {
                **tuned.costs,
                "asking": asdict(reading.cost),
                "fitting": asdict(Cost(0, fitting_seconds)),
            },
            "best_epoch": fit.best_epoch,
            "weights": tuned.weights,
        },
    )


def _initial(reading: Reading, config: TeacherConfig, tuned: TunedModel) -> Matcher | None:
    """The matcher that the LLM was tuned with."""
    if tuned.folder is None:
        return None
    return load_matcher(tuned.folder, torch.from_numpy(reading.title_embeddings), config.dropout)


def _as_saved(matcher: Matcher, reading: Reading, folder: Path) -> Matcher:
    """Saves `matcher` and reads it back: what is stored is what the teacher's server answers."""
    save_matcher(matcher, folder)
    return load_matcher(folder, torch.from_numpy(reading.title_embeddings).half().float())
