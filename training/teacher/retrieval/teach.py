"""The retrieval teacher: its LLM reads a history, and a matcher ranks titles by the LLM's state."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import LIST_LENGTH
from training.knowledge import Answers, Knowledge
from training.settings.teacher import TeacherConfig
from training.teacher.llm.shards import Cost
from training.teacher.matcher import Matcher, load_matcher, matcher_distances, save_matcher
from training.teacher.retrieval.fit_matcher import fit_matcher
from training.teacher.retrieval.states import EncodedDataset, encode_dataset
from training.teacher.retrieval.title_blend import choose_title_blend
from training.teacher.top_k import answer
from training.teacher.tuning.tuned_model import TunedModel


def teach_retrieval(
    dataset: Dataset, config: TeacherConfig, folder: Path, tuned: TunedModel, building: Path
) -> Knowledge:
    """Makes the knowledge of a retrieval teacher: encodes histories, fits a matcher, ranks titles.

    Args:
        dataset: histories and titles.
        config: settings of the teacher.
        folder: parent folder of stored states and title embeddings.
        tuned: the LLM, tuned or not.
        building: folder that the caller will write the knowledge into; the matcher is saved there.
    """
    encoded = encode_dataset(dataset, config, folder, tuned.model, tuned.weights)
    fit = fit_matcher(dataset, encoded, config, _initial_matcher(encoded, config, tuned))
    began = time.monotonic()
    # Rounded to half precision, as knowledge stores them.
    embeddings = encoded.title_embeddings.astype(np.float16).astype(np.float32)
    matcher = _saved_and_loaded(fit.matcher, embeddings, building)
    distances = matcher_distances(matcher, encoded.states)
    blend = choose_title_blend(distances, embeddings, dataset, config)

    def answers(split: Split, list_length: int) -> Answers:
        rows = encoded.states.of_split(dataset, split).rows
        return answer(blend.distances, dataset, rows, list_length)

    train = answers(Split.TRAIN, config.list_length)
    validation, test = (answers(split, LIST_LENGTH) for split in (Split.VALIDATION, Split.TEST))
    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=train,
        validation=validation,
        test=test,
        item_embeddings=np.ascontiguousarray(encoded.title_embeddings),
        provenance={
            "costs": {
                **tuned.costs,
                "asking": asdict(encoded.cost),
                "fitting": asdict(Cost(0, fit.seconds)),
                "answering": asdict(Cost(0, time.monotonic() - began)),
            },
            "best_epoch": fit.best_epoch,
            "commits_of_fit": list(fit.commits),
            "decay": blend.decay,
            "share": blend.share,
            "weights": tuned.weights,
        },
    )


def _initial_matcher(
    encoded: EncodedDataset, config: TeacherConfig, tuned: TunedModel
) -> Matcher | None:
    """Loads the matcher that the LLM was tuned with; returns None if the LLM is not tuned."""
    if tuned.folder is None:
        return None
    return load_matcher(tuned.folder, torch.from_numpy(encoded.title_embeddings), config.dropout)


def _saved_and_loaded(matcher: Matcher, embeddings: NDArray[np.float32], folder: Path) -> Matcher:
    """Saves `matcher` and loads it again, which rounds its weights to half precision.

    The live teacher loads the matcher from `folder`, too. So its answers equal the stored ones.
    """
    save_matcher(matcher, folder)
    return load_matcher(folder, torch.from_numpy(embeddings))
