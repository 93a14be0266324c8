"""The retrieval teacher: it reads a history once, and a matcher finds the titles that fit."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import LIST_LENGTH
from training.knowledge import Answers, Knowledge
from training.settings.teacher import TeacherConfig
from training.teacher.llm.shards import Cost
from training.teacher.matcher import Matcher, load_matcher, save_matcher
from training.teacher.retrieval.fit_matcher import fit_matcher
from training.teacher.retrieval.states import Reading, read_everything
from training.teacher.retrieval.title_blend import best_share, with_titles
from training.teacher.titles.teach import best_decay
from training.teacher.top_k import answer, matched
from training.teacher.tuning.tuned_model import TunedModel


def teach_retrieval(
    dataset: Dataset, config: TeacherConfig, folder: Path, tuned: TunedModel, building: Path
) -> Knowledge:
    """Reads, fits and matches; states are kept in `folder`, the matcher in `building`."""
    reading = read_everything(dataset, config, folder, tuned.model, tuned.weights)
    fit = fit_matcher(dataset, reading, config, _initial(reading, config, tuned))
    began = time.monotonic()
    embeddings = reading.title_embeddings.astype(np.float16).astype(np.float32)  # as they are kept
    alone = matched(_as_saved(fit.matcher, embeddings, building), reading.states)
    takes_titles = any(config.title_shares)
    decay = best_decay(dataset, embeddings, config.title_decays) if takes_titles else 0.0
    neighbours = TitleNeighbours(dataset, embeddings, decay)
    share = best_share(alone, neighbours, dataset, config)
    distances = with_titles(alone, neighbours, share)

    def answers(split: Split, list_length: int) -> Answers:
        rows = reading.states.read_of(dataset, split).rows
        return answer(distances, dataset, rows, list_length)

    train = answers(Split.TRAIN, config.list_length)
    validation, test = (answers(split, LIST_LENGTH) for split in (Split.VALIDATION, Split.TEST))
    answering = Cost(0, time.monotonic() - began)
    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=train,
        validation=validation,
        test=test,
        item_embeddings=np.ascontiguousarray(reading.title_embeddings),
        provenance={
            "costs": {
                **tuned.costs,
                "asking": asdict(reading.cost),
                "fitting": asdict(Cost(0, fit.seconds)),
                "answering": asdict(answering),
            },
            "best_epoch": fit.best_epoch,
            "commits_of_fit": list(fit.commits),
            "decay": decay,
            "share": share,
            "weights": tuned.weights,
        },
    )


def _initial(reading: Reading, config: TeacherConfig, tuned: TunedModel) -> Matcher | None:
    """The matcher that the LLM was tuned with."""
    if tuned.folder is None:
        return None
    return load_matcher(tuned.folder, torch.from_numpy(reading.title_embeddings), config.dropout)


def _as_saved(matcher: Matcher, embeddings: NDArray[np.float32], folder: Path) -> Matcher:
    """Saves `matcher` and reads it back: what is stored is what the teacher's server answers."""
    save_matcher(matcher, folder)
    return load_matcher(folder, torch.from_numpy(embeddings))
