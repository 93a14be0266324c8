"""What an LLM is tuned for: to be matched with the next title, or to write it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.compute.device import multiplies_halves
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC
from training.settings.teacher import TeacherConfig
from training.teacher.budget import judging_rows, newest_first
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.pooling import pooled
from training.teacher.llm.prompts import Phrasebook, TokenIds, phrasebook
from training.teacher.llm.title_embeddings import embed_titles, kept
from training.teacher.llm.windows import (
    Window,
    plan_windows,
    prompt_batch,
    prompt_lengths,
    token_bounded,
)
from training.teacher.matcher import Matcher, save_matcher
from training.teacher.retrieval.states import States
from training.teacher.top_k import figures_of, matched

SAMPLE_BATCHES = 4


class Material:
    """The histories that an LLM is tuned on and those that it is judged by."""

    def __init__(self, model: LanguageModel, dataset: Dataset, config: TeacherConfig) -> None:
        self.model = model
        self.dataset = dataset
        self.config = config
        self.book: Phrasebook = phrasebook(model.tokenizer, dataset.catalog)
        train = newest_first(dataset, dataset.example_rows(Split.TRAIN))
        self.windows = self._windows(np.sort(train[: config.tuner.budget_sequences]))
        self.lengths = self.lengths_of(self.windows)
        self.judging_rows = judging_rows(dataset, config)
        self.judging_windows = self._windows(self.judging_rows)
        longest = max(self.lengths.max(), self.lengths_of(self.judging_windows).max())
        model.refuse_longer_than_it_reads(int(longest))
        self.autocast = partial(
            torch.autocast,
            model.device.type,
            torch.bfloat16,
            enabled=config.precision == "bfloat16" and multiplies_halves(model.device),
        )

    def batches(self, windows: Sequence[Window]) -> list[list[Window]]:
        """`windows` in batches to be read, longer ones later."""
        bounded = token_bounded(self.lengths_of(windows), self.config.tuner.tokens_per_batch)
        return [[windows[index] for index in batch] for batch in bounded]

    def lengths_of(self, windows: Sequence[Window]) -> NDArray[np.int64]:
        """Tokens of each prompt; to be written, the last title is read as well."""
        lengths = prompt_lengths(self.dataset, self.book, windows)
        if self.config.kind == "generative":
            last = self.dataset.item_indices[[window.stop for window in windows]]
            lengths += np.array([len(self.book.titles[item]) for item in last])
        return lengths

    def _windows(self, rows: NDArray[np.int64]) -> list[Window]:
        return plan_windows(self.dataset, rows, self.config.max_titles, self.config.overlap)


class MatchingObjective:
    """Full softmax of the state before each next item over the projected titles of the catalog.

    Titles are seen by the LLM as it was when the leg began; their projection learns all along.
    """

    def __init__(self, material: Material) -> None:
        """Takes the scale of states and titles from the LLM as it is."""
        self._material = material
        self.windows, self.lengths = material.windows, material.lengths
        batches = material.batches(self.windows)  # by length: every so many is a fair sample
        sample = batches[:: -(-len(batches) // SAMPLE_BATCHES)]
        states = torch.cat([self._states(windows)[0].cpu() for windows in sample])
        config = material.config
        matcher = Matcher(states, self._titles(), config.projection_size, config.dropout)
        self.head = matcher.to(material.model.device)

    def refresh(self) -> None:
        """Sees the titles anew."""
        self.head.title_embeddings = self._titles().to(self._material.model.device)

    def loss(self, windows: Sequence[Window]) -> Tensor:
        """Cross-entropy of the next items."""
        states, next_items = self._states_with_gradient(windows)
        return self.head.loss(states, next_items)

    @torch.inference_mode()
    def figure(self) -> float:
        """NDCG@20."""
        material = self._material
        rows, states = [], []
        for windows in material.batches(material.judging_windows):
            rows.append(np.concatenate([window.targets for window in windows]))
            states.append(kept(self._states(windows)[0]))
        order = np.argsort(np.concatenate(rows))
        read = States(np.concatenate(rows)[order], np.concatenate(states)[order])
        matcher = self.head.cpu()
        figures = figures_of(matched(matcher, read), material.dataset, material.judging_rows)
        self.head = matcher.to(material.model.device)
        return figures[SELECTION_METRIC]

    def save(self, folder: Path) -> None:
        """Writes the matcher."""
        save_matcher(self.head, folder)

    @torch.inference_mode()
    def _states(self, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        return self._states_with_gradient(windows)

    def _states_with_gradient(self, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        material = self._material
        batch = prompt_batch(material.dataset, material.book, windows)
        with material.autocast():
            states = material.model.hidden_states(torch.from_numpy(batch.tokens))
        chosen = pooled(states, batch.newest, material.config.pooling).float()
        next_items = torch.from_numpy(material.dataset.item_indices[batch.rows].astype(np.int64))
        return chosen, next_items.to(chosen.device)

    def _titles(self) -> Tensor:
        material = self._material
        with material.autocast():
            titles = embed_titles(material.model, material.book, material.config.tokens_per_batch)
        return torch.from_numpy(titles)


class ResponseObjective:
    """Cross-entropy of the tokens of each next title; the instruction and context cost nothing."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self.windows, self.lengths = material.windows, material.lengths
        self.head = nn.Identity()

    def refresh(self) -> None:
        """Nothing is derived from the LLM."""

    def loss(self, windows: Sequence[Window]) -> Tensor:
        """Mean over the tokens of the responses."""
        material = self._material
        tokens, is_response = response_batch(material.dataset, material.book, windows)
        wanted = torch.from_numpy(is_response[:, 1:]).to(material.model.device)
        inputs = torch.from_numpy(tokens).to(material.model.device)
        with material.autocast():
            scores = material.model.causal(input_ids=inputs, use_cache=False).logits
        return functional.cross_entropy(scores[:, :-1][wanted].float(), inputs[:, 1:][wanted])

    @torch.inference_mode()
    def figure(self) -> float:
        """Minus the mean loss of the batches."""
        material = self._material
        batches = material.batches(material.judging_windows)
        return -float(np.mean([self.loss(windows).item() for windows in batches]))

    def save(self, folder: Path) -> None:
        """There is nothing beside the LLM."""


def response_batch(
    dataset: Dataset, book: Phrasebook, windows: Sequence[Window]
) -> tuple[TokenIds, NDArray[np.bool_]]:
    """Right-padded prompts with the title of their last target, `[windows, tokens]`.

    The second array marks the tokens of the titles to be written, their line ends included.
    """
    prompts = [book.prompt(dataset.item_indices[each.start : each.stop + 1]) for each in windows]
    tokens = np.zeros((len(prompts), max(len(text) for text, _ in prompts)), dtype=np.int64)
    is_response = np.zeros(tokens.shape, dtype=np.bool_)
    for line, marks, (text, ends), window in zip(
        tokens, is_response, prompts, windows, strict=True
    ):
        line[: len(text)] = text
        for place in window.targets - window.start:
            marks[ends[place - 1] + 1 : ends[place] + 1] = True
    return tokens, is_response
