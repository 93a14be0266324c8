"""The teacher that reads titles alone, in minutes on a CPU.

Students see items as the LLM does, and its lists are the titles nearest to where those of a history
point. It knows nothing of who likes what.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.evaluation.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import LIST_LENGTH, SELECTION_METRIC, evaluate, ranker_of
from training.knowledge import Answers, Knowledge
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint
from training.teacher.budget import answered_rows
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import PROMPT_VERSION, phrasebook
from training.teacher.llm.shards import Cost
from training.teacher.llm.title_embeddings import read_titles
from training.teacher.top_k import answer

SETTINGS_OF_TITLES = frozenset({"model", "layers", "precision", "tokens_per_batch"})


def teach_titles(
    dataset: Dataset, config: TeacherConfig, folder: Path, model: LanguageModel
) -> Knowledge:
    """Reads and answers; shards are kept in `folder`."""
    embeddings, cost = see_titles(dataset, config, folder, model)
    began = time.monotonic()
    decay = best_decay(dataset, embeddings, config.title_decays)
    neighbours = TitleNeighbours(dataset, embeddings, decay)
    answered = answered_rows(dataset, config, count_tokens=lambda _: 0)

    def distances(rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(neighbours.distances_before(rows))

    def answers(split: Split, list_length: int) -> Answers:
        rows = np.intersect1d(answered, dataset.example_rows(split))
        return answer(distances, dataset, rows, list_length)

    train = answers(Split.TRAIN, config.list_length)
    validation, test = (answers(split, LIST_LENGTH) for split in (Split.VALIDATION, Split.TEST))
    answering = Cost(0, time.monotonic() - began)
    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=train,
        validation=validation,
        test=test,
        item_embeddings=embeddings,
        provenance={
            "costs": {"titles": asdict(cost), "answering": asdict(answering)},
            "decay": decay,
            "weights": None,
        },
    )


def see_titles(
    dataset: Dataset, config: TeacherConfig, folder: Path, model: LanguageModel
) -> tuple[NDArray[np.float32], Cost]:
    """Reads the titles alone, `[catalog rows, hidden]`, as knowledge keeps them, row 0 zeros."""
    book = phrasebook(model.tokenizer, dataset.catalog)
    settings = config.told_apart(set(SETTINGS_OF_TITLES))
    folder = folder / fingerprint(PROMPT_VERSION, dataset.fingerprint, "titles", settings)
    folder.mkdir(parents=True, exist_ok=True)
    embeddings, cost = read_titles(model, book, config.tokens_per_batch, folder)
    return embeddings.astype(np.float16).astype(np.float32), cost


def best_decay(dataset: Dataset, embeddings: NDArray[np.float32], decays: Sequence[float]) -> float:
    """The one that ranks the validation examples best, the first of equals."""
    rows = dataset.example_rows(Split.VALIDATION)

    def figure(decay: float) -> float:
        ranker = ranker_of(TitleNeighbours(dataset, embeddings, decay), dataset)
        return evaluate(ranker, dataset, rows).metrics[SELECTION_METRIC]

    return max(decays, key=figure)
