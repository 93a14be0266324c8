"""Fitting the matcher: AdamW, validation NDCG@20 picks the epoch."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.data.dataset import Dataset, Split
from training.evaluation.stored import answers_ranker
from training.evaluation.yardstick import SELECTION_METRIC, evaluate
from training.teacher.answering import answer, matched
from training.teacher.config import TeacherConfig
from training.teacher.matching import Matcher
from training.teacher.reading import States


@dataclass(frozen=True)
class Fit:
    """The matcher of the best epoch and its validation figures; epoch 0 is the one it began as."""

    matcher: Matcher
    best_epoch: int
    validation: dict[str, float]


def fit_matcher(
    dataset: Dataset,
    read: States,
    title_embeddings: NDArray[np.float32],
    config: TeacherConfig,
    initial: Matcher | None = None,
) -> Fit:
    """Trains on the TRAIN rows of `read` until validation stops getting better.

    `initial` is where it begins, such as the matcher that the LLM was tuned with.
    """
    torch.manual_seed(config.seed)
    train = read.read_of(dataset, Split.TRAIN)
    validation = dataset.example_rows(Split.VALIDATION)
    states = torch.from_numpy(train.states)
    titles = torch.from_numpy(title_embeddings)
    matcher = initial or Matcher(states.float(), titles, config.projection_size, config.dropout)
    optimiser = torch.optim.AdamW(
        matcher.parameters(), lr=config.matching_rate, weight_decay=config.weight_decay
    )
    next_items = torch.from_numpy(dataset.item_indices[train.rows].astype(np.int64))
    best = Fit(matcher, 0, {SELECTION_METRIC: -1.0})
    if initial:
        best = Fit(copy.deepcopy(matcher), 0, figures_of(matcher, dataset, read, validation))
    with tqdm(range(1, config.epochs + 1), desc="fitting the matcher", unit="epoch") as epochs:
        for epoch in epochs:
            matcher.train()
            for batch in torch.split(torch.randperm(len(states)), config.batch_size):
                optimiser.zero_grad()
                matcher.loss(states[batch].float(), next_items[batch]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            figures = figures_of(matcher, dataset, read, validation)
            epochs.set_postfix({SELECTION_METRIC: f"{figures[SELECTION_METRIC]:.4f}"})
            if figures[SELECTION_METRIC] > best.validation[SELECTION_METRIC]:
                best = Fit(copy.deepcopy(matcher), epoch, figures)
            elif epoch - best.best_epoch >= config.patience:
                break
    return best


def figures_of(
    matcher: Matcher, dataset: Dataset, read: States, rows: NDArray[np.int64]
) -> dict[str, float]:
    """What `matcher` reaches on some examples that were read."""
    answers = answer(matched(matcher, read), dataset, rows)
    return dict(evaluate(answers_ranker(answers), dataset, rows).metrics)
